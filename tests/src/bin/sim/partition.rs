//! A network that cuts, loses, doubles, reorders and moves.

use std::time::Duration;

use anyhow::{Context, Result};
use towpath_tests::proxy::{Proxy, Weather};
use towpath_tests::scene::{Scene, Setting};

use crate::Options;
use crate::run::Run;

const ROUNDS: u64 = 60;

pub(crate) async fn run(options: Options) -> Result<bool> {
    let (rounds, seed) = (options.rounds_or(ROUNDS), options.seed());
    let mut run = Run::begin("partition", seed, rounds);
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut scene = Scene::start(Setting { through_proxy: true, ..Setting::new(seed) }).await?;
    for _ in 0..rounds {
        let harms = bad_weather_while_dropping(&mut scene, &mut rng).await?;
        proxy(&scene)?.set(Weather::FAIR);
        let faults = scene.settle().await?;
        if !run.round(&mut scene, harms, faults).await {
            break;
        }
    }
    let counters = proxy(&scene)?.counters();
    println!("datagrams: {counters:?}");
    run.end(&mut scene).await
}

fn proxy(scene: &Scene) -> Result<&Proxy> {
    scene.proxy.as_ref().context("the scene has no proxy")
}

async fn bad_weather_while_dropping(scene: &mut Scene, rng: &mut fastrand::Rng) -> Result<u64> {
    let changes = rng.u64(2..5);
    for _ in 0..changes {
        proxy(scene)?.set(weather(rng));
        if rng.u8(0..3) == 0 {
            proxy(scene)?.rebind();
        }
        for _ in 0..rng.u8(1..3) {
            scene.drop_any()?;
            tokio::time::sleep(Duration::from_millis(rng.u64(0..600))).await;
        }
    }
    Ok(changes)
}

fn weather(rng: &mut fastrand::Rng) -> Weather {
    if rng.u8(0..4) == 0 {
        return Weather::CUT;
    }
    Weather {
        loss: rng.f64() * 0.19 + 0.01,
        doubled: rng.f64() * 0.1,
        reordered: rng.f64() * 0.2,
        delay: Duration::from_millis(rng.u64(0..30)),
        cut: false,
    }
}
