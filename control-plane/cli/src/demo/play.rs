//! The demo while it runs: drops the export day by day, lets the CRM's application write, shows what becomes of it and decides when it is over.

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;

use super::account::Account;
use super::control::Control;
use super::crm::{self, Crm};
use super::error::DemoError;
use super::export::{Export, ExportFile};
use super::observe::Observation;
use super::place::Place;
use super::plain::Plain;
use super::processes::Processes;
use super::results::Results;
use super::screen::{Key, Screen};
use super::settle::{Stillness, Verdict};
use super::summary::Summary;
use super::view::View;

/// The days that are dropped without being asked for.
pub(super) const DAYS: u64 = 5;
/// The pause between two days, so that there is something to see.
const DAY_EVERY: Duration = Duration::from_millis(1_500);
const LOOK_EVERY: Duration = Duration::from_millis(400);
/// A control plane that does not answer is waited for so long. If it has ended, that is told at once.
const BLIND_FOR: Duration = Duration::from_secs(30);

/// Where the demo is shown.
#[derive(Debug)]
pub(super) enum Display {
    Screen(Box<Screen>),
    Plain(Plain),
}

/// The demo while it runs.
pub(super) struct Play<'a> {
    place: &'a Place,
    processes: &'a mut Processes,
    control: Control,
    display: Display,
    out: &'a mut dyn Write,
    export: Export,
    account: Account,
    crm: Crm,
    days_due: u64,
    crm_days_due: u64,
    next_day_at: Instant,
    started: Instant,
    seen_at: Instant,
    stillness: Stillness,
}

/// How it ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// The user had seen enough.
    Left,
    /// Everything was quiet.
    Settled(Summary),
}

impl<'a> Play<'a> {
    /// A demo of this fleet.
    pub(super) fn new(
        place: &'a Place,
        processes: &'a mut Processes,
        control: Control,
        display: Display,
        out: &'a mut dyn Write,
        (export, crm): (Export, Crm),
    ) -> Self {
        let now = Instant::now();
        Self {
            place,
            processes,
            control,
            display,
            out,
            export,
            account: Account::default(),
            crm,
            days_due: DAYS,
            crm_days_due: 0,
            next_day_at: now,
            started: now,
            seen_at: now,
            stillness: Stillness::default(),
        }
    }

    /// Runs until the user leaves or, if it shall end by itself, until everything is quiet.
    pub(super) async fn run(mut self, ends_when_idle: bool) -> Result<Ending, DemoError> {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let key = tokio::select! {
                _ = ticks.tick() => None,
                key = self.display.key() => Some(key),
            };
            match key {
                Some(Key::Quit) => return Ok(Ending::Left),
                Some(Key::Drop) => self.days_due += 1,
                None => {}
            }
            self.processes.check()?;
            if self.days_due > 0 && Instant::now() >= self.next_day_at {
                self.drop_day()?;
            }
            let seen = match self.control.observe(self.place).await {
                Ok(seen) => seen,
                Err(_) if self.seen_at.elapsed() < BLIND_FOR => continue,
                Err(error) => return Err(error.into()),
            };
            self.seen_at = Instant::now();
            self.write_to_crm(&seen).await?;
            self.show(&seen)?;
            if ends_when_idle && let Some(summary) = self.settled(&seen).await? {
                return Ok(Ending::Settled(summary));
            }
        }
    }

    /// Drops the next day's files, each under a name that the source ignores until it is complete.
    fn drop_day(&mut self) -> Result<(), DemoError> {
        for ExportFile { name, bytes, share } in self.export.next_day() {
            let path = self.place.drop_folder().join(&name);
            let partial = path.with_file_name(name + ".part");
            let dropped = fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, &path));
            dropped.map_err(|source| DemoError::Drop { path, source })?;
            self.account.add(&share);
        }
        self.days_due -= 1;
        self.crm_days_due += 1;
        self.next_day_at = Instant::now() + DAY_EVERY;
        Ok(())
    }

    /// Lets the CRM's application write for a day, if one is due. Its changes begin when the contacts that were there are
    /// in the stream: the copy shows a contact that changes meanwhile once only, and then they could not be counted.
    async fn write_to_crm(&mut self, seen: &Observation) -> Result<(), DemoError> {
        if self.crm_days_due > 0 && seen.logged(crm::STREAM) >= self.crm.filled_with() {
            self.crm.next_day().await?;
            self.crm_days_due -= 1;
        }
        Ok(())
    }

    fn show(&mut self, seen: &Observation) -> Result<(), DemoError> {
        let view = View::new(&self.account, self.crm.written(), seen, self.started.elapsed());
        match &mut self.display {
            Display::Screen(screen) => screen.show(&view)?,
            Display::Plain(plain) => plain.show(&view, self.out)?,
        }
        Ok(())
    }

    /// The reckoning, once it comes out even or nothing will come any more.
    async fn settled(&mut self, seen: &Observation) -> Result<Option<Summary>, DemoError> {
        // What the source of the CRM has yet to read waits in its database, where nobody counts it but the demo.
        let is_read = seen.logged(crm::STREAM) >= self.crm.written().records();
        let is_played = self.days_due == 0 && self.crm_days_due == 0;
        let is_at_rest = is_played && is_read && seen.is_at_rest();
        let verdict = self.stillness.judge(Instant::now(), seen.movement(), is_at_rest);
        if verdict == Verdict::Wait {
            return Ok(None);
        }
        let contacts = self.crm.read().await?;
        let place = self.place.clone();
        let results = spawn_blocking(move || Results::read(&place)).await??;
        let summary = Summary::new(&self.account, (self.crm.written(), &contacts), &results, seen);
        Ok((summary.is_balanced() || verdict == Verdict::Conclude).then_some(summary))
    }
}

impl Display {
    async fn key(&mut self) -> Key {
        match self {
            Self::Screen(screen) => screen.key().await,
            Self::Plain(_) => std::future::pending().await,
        }
    }
}
