//! The program; all of it is in the library.

/// Small size classes keep the memory per znode low.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    zabd::run()
}
