//! Compiles the list of system calls into the programs for the kernel, once and for all: a run has
//! better things to do.

use std::{env, error::Error, fmt::Write as _, fs, path::Path};

use seccompiler::sock_filter;

#[allow(dead_code, reason = "the crate uses what the build does not")]
#[path = "src/engine/seccomp/filter.rs"]
mod filter;
#[allow(dead_code, reason = "the crate uses what the build does not")]
#[path = "src/engine/seccomp/policy.rs"]
mod policy;

use policy::{Call, Case, Memory, Test, Verdict, calls};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=src/engine/seccomp");
    let mut text = String::new();
    for (name, memory) in [("COUNTED", Memory::Counted), ("WATCHED", Memory::Watched)] {
        write_program(&mut text, &format!("FIRST_{name}"), &filter::first(calls(memory))?)?;
        write_program(&mut text, &format!("LAST_{name}"), &filter::last(calls(memory))?)?;
    }
    let out = env::var_os("OUT_DIR").ok_or("cargo did not say where to write")?;
    fs::write(Path::new(&out).join("filters.rs"), text)?;
    Ok(())
}

/// Writes a program as a Rust array.
fn write_program(
    text: &mut String,
    name: &str,
    program: &[sock_filter],
) -> Result<(), std::fmt::Error> {
    writeln!(text, "static {name}: [sock_filter; {}] = [", program.len())?;
    for sock_filter { code, jt, jf, k } in program {
        writeln!(text, "    sock_filter {{ code: {code}, jt: {jt}, jf: {jf}, k: {k} }},")?;
    }
    writeln!(text, "];")
}
