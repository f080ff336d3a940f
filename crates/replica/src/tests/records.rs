//! What a record of the log costs on its way to the disk.

use super::*;

/// An allocation of its own for each, and another to share it, were a quarter of what a create allocates.
#[test]
fn records_that_wait_together_share_their_memory() {
    let mut alone = Alone::new();
    let session = alone.connect(1);
    let mut out = Outputs::default();
    for xid in 0..100 {
        let request = Request {
            conn: ConnId(1),
            session,
            xid,
            op: OpCode::Create.code(),
            body: create(&format!("/{xid}"), 0).into(),
            identities: identities(),
        };
        let now = Now { monotonic_ms: 0, wall_ms: 1_000_000 };
        alone.replica.step(now, &alone.tree, Input::Request(request), &mut out);
    }
    let entries: Vec<_> = out
        .list
        .iter()
        .filter_map(|output| match output {
            Output::Append { entry, .. } => Some(entry.as_ptr_range()),
            _ => None,
        })
        .collect();
    assert_eq!(entries.len(), 100);
    let beside = entries.windows(2).filter(|two| two[0].end == two[1].start).count();
    assert!(beside > 90, "{beside} of them begin where another one ends");
}
