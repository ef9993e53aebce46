//! What goes wrong, until it stops; and what must be true then.

use super::world::{Action, RECORDS, World};
use crate::frame::Frame;

impl World {
    /// Something goes wrong, now and again.
    pub(super) fn fault(&mut self) {
        if self.quiet {
            return;
        }
        self.in_ms(20..5_000, Action::Fault);
        let machine = self.rng.usize(..self.machines.len());
        match self.rng.u8(..20) {
            0..8 => {
                let links: Vec<u32> =
                    self.machines.iter().filter_map(|it| it.link.as_ref().map(|(conn, _)| *conn)).collect();
                if let Some(conn) = self.rng.choice(links) {
                    self.cut(conn);
                }
            }
            8..13 => {
                self.crash_machine(machine);
                self.in_ms(1..2_000, Action::Boot { machine });
            }
            13..17 => self.crash_cell(),
            17..19 => {
                self.wipe_disk(machine);
                self.in_ms(1..2_000, Action::Boot { machine });
            }
            _ => self.clone_machine(machine),
        }
    }

    /// Nothing goes wrong any more. Of machines with one identity only one stays.
    pub(super) fn become_quiet(&mut self) {
        self.quiet = true;
        let stays = self.rng.usize(..self.machines.len());
        for machine in 0..self.machines.len() {
            if machine == stays {
                self.in_ms(0..100, Action::Boot { machine });
            } else {
                self.crash_machine(machine);
                self.machines[machine].boot += 1;
            }
        }
        if !self.cell.up {
            self.in_ms(0..100, Action::StartCell);
        }
    }

    /// Cuts a connection. Each end learns of it at once, later, or by silence.
    pub(super) fn cut(&mut self, conn: u32) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        if connection.is_cut() {
            return;
        }
        connection.cut(&mut self.rng, self.now);
        if self.chance(70) {
            self.in_ms(0..1_500, Action::AgentLost { conn });
        }
        if self.chance(70) {
            self.in_ms(0..1_500, Action::CellLost { conn });
        }
    }

    /// A machine is restored from a copy of another one's disk, or set up with its key on an empty one.
    fn clone_machine(&mut self, of: usize) {
        if self.machines.len() > 1 {
            return;
        }
        self.add_machine();
        if self.chance(70) {
            let spools: Vec<_> = self.machines[of].lanes.iter().map(|lane| lane.spool.clone()).collect();
            self.crash_machine(1);
            for (lane, spool) in self.machines[1].lanes.iter_mut().zip(spools) {
                lane.spool = spool;
            }
            self.in_ms(1..500, Action::Boot { machine: 1 });
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        let mut up = self.machines.iter().filter(|machine| machine.up).peekable();
        let log = self.cell.log.durable_frames().len();
        up.peek().is_some()
            && up.all(|machine| {
                machine.lanes.iter().all(super::agent::Lane::is_idle) && machine.sink.rows.len() == log
            })
    }

    /// The log holds the records of every source, each once, in order, in frames that follow each other.
    pub(super) fn check_end(&self) -> Result<(), String> {
        for lane in &self.lanes {
            let (mut next, mut crc, mut seq) = (0, 0, 0);
            for frame in self.cell.log.lane(lane) {
                seq += 1;
                if frame.records().start != next || frame.prev_crc() != crc || frame.link().seq != seq {
                    return Err(format!("frame {} of lane {lane} is out of place", frame.link()));
                }
                (next, crc) = (frame.records().end, frame.link().crc);
            }
            if next != RECORDS {
                return Err(format!("lane {lane} ends at record {next} of {RECORDS}"));
            }
        }
        self.check_sinks()
    }

    /// Where everything stands, for a message.
    pub(super) fn describe(&self) -> String {
        let machines = self.machines.iter().map(|machine| {
            let lanes = machine.lanes.iter().map(|lane| lane.spool.len());
            format!(
                "up {} linked {} spooled {:?} sunk {}",
                machine.up,
                machine.link.is_some(),
                lanes.collect::<Vec<_>>(),
                machine.sink.rows.len()
            )
        });
        let log = self.cell.log.durable_frames().len();
        format!("{:?}; the log holds {log} frames", machines.collect::<Vec<_>>())
    }
}
