//! Records that are longer than whoever reads them may take.

use super::*;

/// A server was started with another limit: no record that is whole is damage, or an end, for whoever reads it with a smaller one.
#[test]
fn a_whole_record_that_is_too_long_is_named_and_passed_by_whoever_asks_where_it_stands() {
    let disk = empty_disk();
    let long = 3 * Limits::FRAME_BYTES_MAX_DEFAULT;
    let mut log = Log::new(
        disk.clone(),
        Path::new(DIR),
        Zxid(0),
        LogOptions { entry_bytes_max: 2 * long, ..options() },
    );
    append(&mut log, 1..=2).unwrap();
    log.append(Zxid(3), &entry(3, long - 32)).unwrap();
    append(&mut log, 4..=5).unwrap();
    let (dir, limits) = (Path::new(DIR), Limits::default());
    let refused = read(&disk, 0).unwrap_err();
    let LogError::TooLong { offset, zxid, length, length_max, .. } = &refused else { panic!("{refused}") };
    assert_eq!((*offset, *zxid), (16 + 2 * (42 + 13), Zxid(3)));
    assert_eq!((*length, *length_max), (long, limits.field_bytes_max));
    assert_eq!(read(&disk, 3).unwrap(), (vec![4, 5], None), "whoever does not need it reads on");
    let mut all = Records::after(disk.clone(), dir, Zxid(0), limits).unwrap().of_any_length();
    let mut zxids = Vec::new();
    while let Some(record) = all.next_record().unwrap() {
        zxids.push(record.zxid.0);
    }
    assert_eq!(zxids, [1, 2, 3, 4, 5]);
    assert_eq!(last_record(&disk, dir, limits).unwrap(), Some(Zxid(5)));
    let whole = behind(&disk, &dir.join("log.1"), 0, limits).unwrap();
    assert_eq!((whole.whole_records, whole.last), (5, Some(Zxid(5))));
    assert!(find_conflict(&disk, dir, Zxid(0)).unwrap().is_none());
    truncate(&disk, dir, Zxid(4), limits).unwrap();
    assert_eq!(last_record(&disk, dir, limits).unwrap(), Some(Zxid(4)));
    truncate(&disk, dir, Zxid(2), limits).unwrap();
    assert_eq!(read(&disk, 0).unwrap(), (vec![1, 2], None));
}

/// What is damaged in front of such a record is no torn end, however short the limit is.
#[test]
fn damage_before_a_record_that_is_too_long_is_no_torn_end() {
    let disk = empty_disk();
    let mut log = Log::new(disk.clone(), Path::new(DIR), Zxid(0), options());
    append(&mut log, 1..=1).unwrap();
    log.append(Zxid(2), &entry(2, 1500)).unwrap();
    log.append(Zxid(3), &entry(3, 6000)).unwrap();
    append(&mut log, 4..=4).unwrap();
    let path = Path::new(DIR).join("log.1");
    let mut content = disk.read(&path).unwrap().to_vec();
    // The end mark of the second.
    content[16 + (42 + 13) + (1532 + 13) - 1] = 0;
    disk.create(&path).unwrap().write_at(0, &content).unwrap();
    let limits = Limits { field_bytes_max: 2000 };
    let mut records = Records::after(disk, Path::new(DIR), Zxid(0), limits).unwrap();
    assert_eq!(records.next_record().unwrap().unwrap().zxid, Zxid(1));
    let damaged = records.next_record().unwrap_err();
    assert!(matches!(damaged, LogError::Corrupt { offset: 71, .. }), "{damaged}");
}
