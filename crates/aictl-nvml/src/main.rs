//! Asks NVIDIA's driver about its GPUs, and prints one line of JSON: a
//! [`GpuReport`](aictl_api::gpu::GpuReport).
//!
//! It is a program of its own since NVIDIA's library (NVML) can only be loaded by a program that is
//! linked dynamically, as the others of aictl are not; and since a sick driver can crash who asks
//! it, print what it likes, or never answer. That there is no driver is an answer too, and not a
//! failure: a note says so.

mod arguments;
mod device;
mod library;
mod processes;
mod report;
mod throttling;

use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsFd,
    process::ExitCode,
    time::Instant,
};

use aictl_api::exit;
use arguments::Arguments;

fn main() -> ExitCode {
    let start = Instant::now();
    let arguments = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("aictl-nvml: {wrong}\n{}", arguments::USAGE);
            return ExitCode::from(exit::USAGE);
        }
    };
    match run(&arguments, start) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("aictl-nvml: standard output cannot be written: {error}");
            ExitCode::from(exit::FAILED)
        }
    }
}

fn run(arguments: &Arguments, start: Instant) -> io::Result<()> {
    // What the driver's library prints must not come between our words.
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdout(io::stderr())?;
    let (report, nvml) = report::read(arguments, start + arguments.time);
    let mut line = serde_json::to_vec(&report)?;
    line.push(b'\n');
    output.write_all(&line)?;
    // Whoever waits for the line need not wait for the driver to tidy up.
    drop(output);
    if let Some(nvml) = nvml {
        // It is of no use to anybody that this fails.
        let _ = nvml.shutdown();
    }
    Ok(())
}
