//! Ensembles whose members change; more seeds of them with `SIM_MEMBERS`, see `seeds.rs`.

use zabd_sim::plan::{Members, Plan};
use zabd_sim::shrink::live;
use zabd_sim::world::Figures;

/// A lone server becomes three and five, and loses some again, by files and restarts.
#[test]
fn ensembles_that_grow_and_shrink_by_files_lose_nothing() {
    let mut figures = Figures::default();
    for seed in 0..40 {
        let lived = live(seed, &Plan::draw_with(Members::ByFiles, seed));
        figures += lived.unwrap_or_else(|why| panic!("SIM_MEMBERS=files SIM_SEED={seed} fails: {why}"));
    }
    assert!(figures.reconfigurations > 80, "{figures}");
}
