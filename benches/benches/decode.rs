//! What decoding a client's request and encoding its reply cost, apart from sockets: the frames of the
//! operations that a busy server sees most.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use zabd_benches::wire::{self, Frames, Multi};
use zabd_benches::workload::{Keyspace, PathBuffer, value};
use zabd_jute::client::{
    CreateRequest, GetDataResponse, MultiRequest, PathWatchRequest, ReplyHeader, RequestHeader,
    SetDataRequest,
};
use zabd_jute::{Reader, Record, Stat, Writer, Zxid};

/// A buffer of `count` frames, as a pipelining client's packet holds them.
fn packet(count: u64, mut write: impl FnMut(&mut Vec<u8>, &[u8], i32)) -> Vec<u8> {
    let (mut out, mut path) = (Vec::new(), PathBuffer::prefilled());
    for index in 0..count {
        write(&mut out, path.znode(&Keyspace::spread(count), index), index as i32);
    }
    out
}

/// Decodes header and body of each frame.
fn decode_all<'a, T: Record<'a>>(packet: &'a [u8]) {
    for frame in Frames::new(packet) {
        let mut r = Reader::new(frame);
        let header = RequestHeader::decode(&mut r).expect("the packet is well-formed");
        let body = T::decode(&mut r).expect("the packet is well-formed");
        black_box((header, body));
    }
}

fn decoding(criterion: &mut Criterion) {
    const FRAMES: u64 = 16;
    let data = value(100);
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(FRAMES));
    let gets = packet(FRAMES, |out, path, xid| wire::get(out, xid, path, false));
    group.bench_function("getData", |b| b.iter(|| decode_all::<PathWatchRequest<'_>>(black_box(&gets))));
    let sets = packet(FRAMES, |out, path, xid| wire::set(out, xid, path, &data));
    group.bench_function("setData of 100 bytes", |b| {
        b.iter(|| decode_all::<SetDataRequest<'_>>(black_box(&sets)));
    });
    let creates = packet(FRAMES, |out, path, xid| wire::create(out, xid, path, &data));
    group.bench_function("create of 100 bytes", |b| {
        b.iter(|| decode_all::<CreateRequest<'_>>(black_box(&creates)));
    });
    let multis = packet(FRAMES, |out, path, xid| {
        let mut multi = Multi::begin(out, xid);
        (0..10).for_each(|_| multi.create(path, &data));
        multi.end();
    });
    group.bench_function("multi of 10 creates", |b| {
        b.iter(|| decode_all::<MultiRequest<'_>>(black_box(&multis)));
    });
    group.finish();
}

fn encoding(criterion: &mut Criterion) {
    let data = value(100);
    let mut out = Vec::new();
    criterion.bench_function("encode/getData reply of 100 bytes", |b| {
        b.iter(|| {
            out.clear();
            let mut w = Writer::new(&mut out);
            let length = w.reserve_int();
            ReplyHeader { xid: 1, zxid: Zxid(2), err: 0 }.encode(&mut w);
            GetDataResponse { data: Some(black_box(&data)), stat: Stat::default() }.encode(&mut w);
            w.fill_length(length);
            black_box(&out);
        });
    });
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    decoding(&mut criterion);
    encoding(&mut criterion);
    criterion.final_summary();
}
