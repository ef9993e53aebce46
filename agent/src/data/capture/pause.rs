//! Whether a lane has to wait for a source that goes first, as the board shows it.

use towpath_adapter_api::Turn;
use towpath_record::SourceId;

use crate::control::status::{Board, waiting};

/// The place of a lane's source among those of the agent.
pub(crate) struct Pause<'a> {
    board: &'a Board,
    source: SourceId,
    turn: Turn,
    has_to_wait: bool,
}

impl<'a> Pause<'a> {
    pub(crate) fn new(board: &'a Board, source: SourceId, turn: Turn) -> Self {
        Self { board, source, turn, has_to_wait: false }
    }

    /// Whether the lane has to wait now.
    pub(crate) fn has_to_wait(&mut self) -> bool {
        let first = self.turn.waits_for();
        match &first {
            Some(first) => {
                let message = format!("paused for source {}: {}", first.source, first.reason);
                self.board
                    .paused(self.source, Some(waiting(message, "it goes on when that one has caught up")));
            }
            None if self.has_to_wait => self.board.paused(self.source, None),
            None => {}
        }
        self.has_to_wait = first.is_some();
        self.has_to_wait
    }

    /// Returns when the answer may be another than before.
    pub(crate) async fn changed(&mut self) {
        self.turn.changed().await;
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        if self.has_to_wait {
            self.board.paused(self.source, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use towpath_adapter_api::Precedence;
    use towpath_record::ResourceName;
    use towpath_resource::observed::{Condition, Trouble};

    use super::*;

    struct Scene {
        board: Board,
        source: SourceId,
        precedence: Precedence,
    }

    impl Scene {
        fn new() -> Self {
            let scene = Self {
                board: Board::new(Vec::new()),
                source: SourceId::from_bytes([1; 16]),
                precedence: Precedence::default(),
            };
            scene.condition(Condition::Running, None);
            scene
        }

        fn turn(&self, name: &str) -> Turn {
            self.precedence.turn(ResourceName::new(name).unwrap())
        }

        fn pause(&self) -> Pause<'_> {
            Pause::new(&self.board, self.source, self.turn("files"))
        }

        fn condition(&self, condition: Condition, trouble: Option<Trouble>) {
            self.board.source_condition(self.source, condition, trouble);
        }

        fn shown(&self) -> (Condition, String) {
            let source = self.board.observed().sources.remove(0);
            (source.condition, source.trouble.map(|trouble| trouble.message).unwrap_or_default())
        }
    }

    const PAUSED: &str = "paused for source erp: its slot keeps too much";
    const RUNNING: (Condition, String) = (Condition::Running, String::new());

    fn waits(message: &str) -> (Condition, String) {
        (Condition::Waiting, message.to_owned())
    }

    #[test]
    fn the_board_tells_for_whom_a_source_waits_and_when_it_goes_on() {
        let scene = Scene::new();
        let mut pause = scene.pause();
        assert!(!pause.has_to_wait());
        assert_eq!(scene.shown(), RUNNING);
        let claim = scene.turn("erp").claim("its slot keeps too much");
        assert!(pause.has_to_wait());
        assert_eq!(scene.shown(), waits(PAUSED));
        // The link came back, or the spool has room again; it waits all the same.
        scene.condition(Condition::Running, None);
        assert_eq!(scene.shown(), waits(PAUSED));
        drop(claim);
        assert!(!pause.has_to_wait());
        assert_eq!(scene.shown(), RUNNING);
    }

    #[test]
    fn another_trouble_is_told_before_and_after_a_pause() {
        let scene = Scene::new();
        let mut pause = scene.pause();
        scene.condition(Condition::Waiting, Some(waiting("waits for the spool", "free space")));
        let claim = scene.turn("erp").claim("its slot keeps too much");
        assert!(pause.has_to_wait());
        assert_eq!(scene.shown(), waits("waits for the spool"));
        scene.condition(Condition::Running, None);
        assert_eq!(scene.shown(), waits(PAUSED));
        scene.condition(Condition::Waiting, Some(waiting("the log is away", "check the link")));
        drop(claim);
        assert!(!pause.has_to_wait());
        assert_eq!(scene.shown(), waits("the log is away"));
    }

    #[test]
    fn a_lane_that_ends_while_it_waits_is_no_longer_shown_as_paused() {
        let scene = Scene::new();
        let _claim = scene.turn("erp").claim("its slot keeps too much");
        let mut pause = scene.pause();
        assert!(pause.has_to_wait());
        drop(pause);
        assert_eq!(scene.shown(), RUNNING);
    }

    #[tokio::test]
    async fn the_one_that_goes_first_does_not_wait_and_the_next_in_need_is_named() {
        let scene = Scene::new();
        let (mut mine, mut other) =
            (Pause::new(&scene.board, scene.source, scene.turn("erp")), scene.pause());
        let claim = scene.turn("erp").claim("its slot keeps too much");
        let next = scene.turn("crm").claim("it is late");
        assert!(!mine.has_to_wait());
        assert!(other.has_to_wait());
        drop(claim);
        other.changed().await;
        assert!(other.has_to_wait());
        assert_eq!(scene.shown(), waits("paused for source crm: it is late"));
        drop(next);
    }
}
