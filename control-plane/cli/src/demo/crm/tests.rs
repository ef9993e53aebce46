use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::super::processes::ProcessError;
use super::*;

const SEED: u64 = 7;
const ROWS_PER_DAY: u64 = 1_000;

/// A place that the server's user may enter, whoever runs the tests.
fn place() -> (TempDir, Place) {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let place = Place::fresh(Some(&directory.path().join("demo"))).unwrap();
    (directory, place)
}

async fn start(choice: Choice, place: &Place, processes: &mut Processes) -> Crm {
    Crm::start(choice, place, processes, (SEED, ROWS_PER_DAY)).await.unwrap()
}

#[tokio::test]
async fn both_databases_hold_the_same_contacts_after_the_same_days() {
    let mut held = Vec::new();
    for choice in [Choice::Postgres, Choice::Sqlite] {
        let (_directory, place) = place();
        let mut processes = Processes::default();
        let mut crm = start(choice, &place, &mut processes).await;
        assert_eq!(crm.read().await.unwrap().count(), crm.filled_with());
        for _ in 0..3 {
            crm.next_day().await.unwrap();
        }
        let written = crm.written();
        let rows = crm.read().await.unwrap();
        assert_eq!(rows.count(), written.inserts - written.deletes);
        held.push(rows);
    }
    let difference = held[0].compare(&held[1]);
    assert!(difference.is_none(), "{difference}");
}

#[tokio::test]
async fn a_server_that_was_stopped_is_told_and_not_waited_for() {
    let (_directory, place) = place();
    let mut processes = Processes::default();
    let mut crm = start(Choice::Postgres, &place, &mut processes).await;
    let pid = fs::read_to_string(place.crm_server().join("data/postmaster.pid")).unwrap();
    let pid = rustix::process::Pid::from_raw(pid.lines().next().unwrap().parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let error = loop {
        match processes.check() {
            Ok(()) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ProcessError::Ended { name: PROCESS, .. }), "{error}");
    let error = crm.next_day().await.unwrap_err().to_string();
    assert!(error.contains("crm-postgres.log may say why: psql: "), "{error}");
}

#[tokio::test]
async fn a_server_that_cannot_be_started_gives_way_to_a_file_with_a_line_of_why() {
    let (_directory, place) = place();
    fs::write(place.crm_server(), "a file where its folder should be").unwrap();
    let mut processes = Processes::default();
    let crm = start(Choice::Auto, &place, &mut processes).await;
    let said = crm.introduction();
    assert!(
        said.starts_with("the CRM has a SQLite file: PostgreSQL ") && said.lines().count() == 1,
        "{said}"
    );
    assert_eq!(crm.read().await.unwrap().count(), crm.filled_with());
    let refused =
        Crm::start(Choice::Postgres, &place, &mut processes, (SEED, ROWS_PER_DAY)).await.unwrap_err();
    assert!(refused.to_string().contains("--database sqlite"), "{refused}");
}
