//! Many want to be one: enrolment tokens used by many at once, and identities used by two.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use tokio::sync::Barrier;

use crate::applicant::{Answer, Applicant};
use crate::fleet::{Fleet, Plan};
use crate::resources::Documents;
use crate::wait::wait_until;

const SITE: &str = "race";
/// A kill comes within so many milliseconds of the start.
const KILL_WITHIN_MS: u64 = 40;
/// How soon the second session of an identity must be over, and in the audit trail.
pub const FENCED_WITHIN: Duration = Duration::from_secs(5);

/// A real control plane, and applicants who use each of its tokens at once.
pub struct Race {
    /// The control plane, and agents whose identity is doubled.
    pub fleet: Fleet,
    applicants: Vec<Applicant>,
    rng: fastrand::Rng,
    /// What came of it so far.
    pub score: Score,
}

/// What came of the rounds so far.
#[derive(Clone, Copy, Default, Debug)]
pub struct Score {
    /// Tokens that were raced for.
    pub rounds: u64,
    /// Requests with one of them.
    pub uses: u64,
    /// Those that were told that they are enrolled.
    pub won: u64,
    /// Those that were refused.
    pub refused: u64,
    /// Those that were told nothing, since the control plane was killed.
    pub unanswered: u64,
    /// How often it was killed.
    pub kills: u64,
}

impl Race {
    /// Starts a control plane and connects so many applicants to it.
    ///
    /// # Errors
    /// Something did not come up.
    pub async fn start(racers: usize, seed: u64) -> Result<Self> {
        let plan = Plan { agents: Vec::new(), log: "error".to_owned(), ..Plan::default() };
        let fleet = Fleet::start(plan).await?;
        fleet.apply(&Documents::new().with("Site", SITE, &json!({}))).await?;
        let context = fleet.control.context_file();
        let mut applicants = Vec::with_capacity(racers);
        for _ in 0..racers {
            applicants.push(Applicant::connect(&context).await?);
        }
        Ok(Self { fleet, applicants, rng: fastrand::Rng::with_seed(seed), score: Score::default() })
    }

    /// Lets all applicants use one token at once, and checks that one of them wins.
    ///
    /// # Errors
    /// Another number of them won, or one was refused for another reason than that the token was used.
    pub async fn round(&mut self) -> Result<()> {
        let token = self.begin_round().await?;
        let answers = self.all_at_once(&token, None).await?;
        let won = answers.iter().filter(|answer| **answer == Answer::Enrolled).count();
        let lost = answers.iter().filter(|answer| is_used(answer)).count();
        ensure!(
            (won, lost) == (1, self.applicants.len() - 1),
            "of {} uses of a token at once, {won} won and {lost} were told that it was used: {:?}",
            self.applicants.len(),
            others(&answers)
        );
        Ok(())
    }

    /// The same, but the control plane is killed meanwhile, and the token used by all again once it is back.
    ///
    /// # Errors
    /// More than one won, or not exactly one agent came into being.
    pub async fn round_with_kill(&mut self) -> Result<()> {
        let token = self.begin_round().await?;
        let after = Duration::from_millis(self.rng.u64(0..KILL_WITHIN_MS));
        let mut answers = self.all_at_once(&token, Some(after)).await?;
        self.score.kills += 1;
        self.fleet.control.restart()?;
        self.fleet.control.wait_ready().await?;
        let context = self.fleet.control.context_file();
        for applicant in &mut self.applicants {
            applicant.reconnect(&context).await?;
        }
        answers.extend(self.all_at_once(&token, None).await?);
        let won = answers.iter().filter(|answer| **answer == Answer::Enrolled).count();
        let prefix = format!("r{}-", self.score.rounds);
        let names = self.agents().await?;
        let made: Vec<_> = names.iter().filter(|name| name.starts_with(&prefix)).collect();
        ensure!(
            won <= 1 && made.len() == 1,
            "a token was used at once, then the control plane was killed, then it was used again: {won} won, and these \
             agents came into being: {made:?}; {:?}",
            others(&answers)
        );
        Ok(())
    }

    /// Checks that there is one agent for each round, and that the audit trail is whole.
    ///
    /// # Errors
    /// It is not so.
    pub async fn check(&self) -> Result<()> {
        let of_races = self.agents().await?.into_iter().filter(|name| name.starts_with('r')).count() as u64;
        ensure!(of_races == self.score.rounds, "{of_races} agents came of {} tokens", self.score.rounds);
        self.fleet.run_cli(&["audit", "verify"]).map(drop)
    }

    /// Enrols an agent, and starts another with a copy of its identity while it is linked. Returns how long it took until
    /// one of the two was cut off and the audit trail said so.
    ///
    /// # Errors
    /// Both stayed linked, or the audit trail says nothing of it.
    pub async fn double(&mut self, name: &str) -> Result<Duration> {
        let port = self.fleet.control.port();
        self.fleet.add_agent(name, port).await?;
        self.fleet.agent(name).wait_linked().await?;
        let mut double = self.fleet.agent(name).double()?;
        let started = Instant::now();
        double.start()?;
        double.wait_linked().await?;
        let api = self.fleet.api().clone();
        let original = self.fleet.agent(name);
        wait_until("one of two sessions of an identity is over", FENCED_WITHIN, async || {
            let (one, other) = (original.is_linked().await, double.is_linked().await);
            Ok((one != other).then_some(()))
        })
        .await?;
        let told = format!("agent {name}");
        wait_until("the audit trail tells of two sessions of an identity", FENCED_WITHIN, async || {
            let denied = api.get("/v1/audit?outcome=denied&limit=1000").await?;
            Ok(denied.to_string().contains(&told).then_some(()))
        })
        .await?;
        let took = started.elapsed();
        ensure!(took <= FENCED_WITHIN, "two sessions of one identity went on for {took:?}");
        double.kill()?;
        self.fleet.agent(name).kill()?;
        Ok(took)
    }

    async fn begin_round(&mut self) -> Result<String> {
        self.score.rounds += 1;
        self.fleet.api().create_token(SITE).await
    }

    /// Lets each applicant use the token, all at one moment, and kills the control plane that long after it.
    async fn all_at_once(&mut self, token: &str, kill_after: Option<Duration>) -> Result<Vec<Answer>> {
        let barrier = Arc::new(Barrier::new(self.applicants.len() + 1));
        let round = self.score.rounds;
        let racing = self.applicants.drain(..).enumerate().map(|(n, mut applicant)| {
            let (barrier, token, name) = (barrier.clone(), token.to_owned(), format!("r{round}-{n}"));
            tokio::spawn(async move {
                barrier.wait().await;
                let answer = applicant.ask(&token, &name).await;
                (applicant, answer)
            })
        });
        let racing: Vec<_> = racing.collect();
        barrier.wait().await;
        if let Some(after) = kill_after {
            tokio::time::sleep(after).await;
            self.fleet.control.kill()?;
        }
        let mut answers = Vec::with_capacity(racing.len());
        for racer in racing {
            let (applicant, answer) = racer.await.context("an applicant panicked")?;
            self.applicants.push(applicant);
            self.score.count(&answer);
            answers.push(answer);
        }
        Ok(answers)
    }

    /// The names of all agents, page by page.
    async fn agents(&self) -> Result<BTreeSet<String>> {
        let (mut names, mut path) = (BTreeSet::new(), "/v1/agents?limit=1000".to_owned());
        loop {
            let page = self.fleet.api().get(&path).await?;
            let items = page["items"].as_array().with_context(|| format!("no page of agents: {page}"))?;
            let of = |item: &serde_json::Value| item["metadata"]["name"].as_str().map(str::to_owned);
            names.extend(items.iter().filter_map(of));
            match page["next_cursor"].as_str() {
                Some(cursor) => path = format!("/v1/agents?limit=1000&cursor={cursor}"),
                None if names.is_empty() && self.score.rounds > 0 => bail!("there are no agents: {page}"),
                None => return Ok(names),
            }
        }
    }
}

impl Score {
    fn count(&mut self, answer: &Answer) {
        self.uses += 1;
        match answer {
            Answer::Enrolled => self.won += 1,
            Answer::Refused(_) => self.refused += 1,
            Answer::Nothing(_) => self.unanswered += 1,
        }
    }
}

fn is_used(answer: &Answer) -> bool {
    matches!(answer, Answer::Refused(why) if why.contains("used already"))
}

/// The answers that say something else than that the token was used.
fn others(answers: &[Answer]) -> Vec<&Answer> {
    answers.iter().filter(|answer| !is_used(answer)).collect()
}
