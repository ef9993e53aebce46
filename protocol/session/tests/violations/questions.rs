//! Questions beside the flow of frames.

use towpath_proto::link::{Answer, CheckSource, Dismiss, Findings, Question, answer, question};
use towpath_session::limits::{MAX_ANSWER_BYTES, MAX_QUESTIONS};
use towpath_session::{AgentEvent, CellEvent};

use super::{Agent, Cell};

fn check() -> question::Kind {
    question::Kind::CheckSource(CheckSource::default())
}

fn findings(bytes: usize) -> answer::Kind {
    answer::Kind::Findings(Findings { findings: vec![b' '; bytes].into() })
}

fn part(question: u32, more: bool, bytes: usize) -> Answer {
    Answer { question, more, kind: Some(findings(bytes)) }
}

#[test]
fn an_answer_comes_in_parts_and_ends_its_question() {
    let mut cell = Cell::open();
    let question = cell.machine.ask(cell.now, check()).unwrap();
    cell.say(part(question, true, 1));
    cell.say(part(question, false, 1));
    cell.say(part(question, false, 1));
    let more: Vec<_> = cell
        .drain()
        .into_iter()
        .map(|event| match event {
            CellEvent::Answered { more, .. } => more,
            other => panic!("{other:?} instead of an answer"),
        })
        .collect();
    assert_eq!(more, [true, false], "the third part answers nothing");
}

#[test]
fn what_is_answered_after_a_dismissal_is_dropped() {
    let mut cell = Cell::open();
    let question = cell.machine.ask(cell.now, check()).unwrap();
    cell.machine.dismiss(cell.now, question);
    cell.say(part(question, false, 1));
    assert_eq!(cell.drain(), []);
}

#[test]
fn an_agent_that_answers_what_was_never_asked_is_cut_off() {
    let mut cell = Cell::open();
    cell.say(part(1, false, 1));
    cell.assert_violated("question 1 was never agreed");
}

#[test]
fn an_agent_that_never_ends_its_answer_is_cut_off() {
    let mut cell = Cell::open();
    let question = cell.machine.ask(cell.now, check()).unwrap();
    let (bytes, parts) = (1 << 20, MAX_ANSWER_BYTES >> 20);
    (0..parts).for_each(|_| cell.say(part(question, true, bytes)));
    cell.assert_violated("bytes in an answer");
}

#[test]
fn no_more_is_asked_than_may_wait() {
    let mut cell = Cell::open();
    let asked: Vec<_> = (0..=MAX_QUESTIONS).map(|_| cell.machine.ask(cell.now, check())).collect();
    assert_eq!(asked.iter().flatten().count(), MAX_QUESTIONS);
    cell.say(part(asked[0].unwrap(), false, 1));
    assert!(cell.machine.ask(cell.now, check()).is_some());
}

#[test]
fn an_agent_answers_once_and_only_what_somebody_waits_for() {
    let mut agent = Agent::with_lane();
    for question in 1..=2 {
        agent.hear(Question { question, kind: Some(check()) });
    }
    agent.hear(Dismiss { question: 2 });
    assert!(matches!(agent.drain().last(), Some(AgentEvent::Dismissed { question: 2 })));
    for question in [1, 1, 2, 3] {
        agent.machine.answer(agent.now, question, false, findings(1));
    }
    assert!(agent.machine.poll_transmit().is_some());
    assert!(agent.machine.poll_transmit().is_none());
}

#[test]
fn a_cell_that_asks_too_much_or_twice_is_left() {
    let mut agent = Agent::with_lane();
    agent.hear(Question { question: 2, kind: Some(check()) });
    agent.hear(Question { question: 2, kind: Some(check()) });
    agent.assert_violated("question 2 was used before");
    let mut agent = Agent::with_lane();
    for question in 1..=MAX_QUESTIONS as u32 + 1 {
        agent.hear(Question { question, kind: Some(check()) });
    }
    agent.assert_violated("questions at a time");
}
