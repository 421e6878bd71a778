//! Real AI servers for the machine that come as Python packages: fetched once from PyPI, for the
//! Python of the machine's image, into directories that the machine sees.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::boot::Bind;
use super::file;
use crate::failure::Failure;
use crate::workspace::{self, Workspace};

/// The proxy that its users install; `prisma` is what it imports when it refuses somebody.
const LITELLM: [&str; 2] = ["litellm[proxy]", "prisma"];
/// The Python server over llama.cpp.
const LLAMA_CPP_PYTHON: &str = "llama-cpp-python";
/// The libraries of llama.cpp that it opens. Debian has them built; its own copy takes a quarter of
/// an hour to build.
const LIBRARIES: [&str; 4] = ["llama", "mtmd", "ggml", "ggml-base"];

/// What the machine sees of them, once they are there, and what could not be had.
///
/// # Errors
/// A failure if a directory cannot be read or made.
pub fn provide(
    workspace: &Workspace,
    directory: &Path,
    image: &Path,
) -> Result<(Vec<Bind>, Vec<String>), Failure> {
    let python = python_of(image)?;
    let place = directory.join(format!("servers-{python}"));
    fs::create_dir_all(&place).map_err(|error| file("cannot make", &place, error))?;
    let (mut binds, mut missing) = (Vec::new(), Vec::new());
    for (name, to, fetch) in [
        ("litellm", "/opt/litellm", litellm as Fetch),
        (LLAMA_CPP_PYTHON, "/opt/llama-cpp-python", llama_cpp_python as Fetch),
    ] {
        let from = place.join(name);
        let fetched = if from.is_dir() {
            Ok(())
        } else {
            eprintln!("fetching {name} for the machine (once)");
            let at = Place { workspace, tools: directory, image, python: &python };
            once(&from, |unfinished| fetch(&at, unfinished))
        };
        match fetched {
            Ok(()) => binds.push(Bind { from, to }),
            Err(why) => missing.push(format!("{name}: {why}")),
        }
    }
    Ok((binds, missing))
}

/// Makes the content of a directory.
type Fetch = fn(&Place<'_>, &Path) -> Result<(), Failure>;

/// What is needed to fetch a server.
struct Place<'a> {
    workspace: &'a Workspace,
    /// Where the tools are kept that do it.
    tools: &'a Path,
    image: &'a Path,
    /// The version of the machine's Python, as `3.13`.
    python: &'a str,
}

fn litellm(at: &Place<'_>, into: &Path) -> Result<(), Failure> {
    install(at, into, &LITELLM.map(OsStr::new))
}

fn llama_cpp_python(at: &Place<'_>, into: &Path) -> Result<(), Failure> {
    let wheels = at.tools.join("wheels");
    let mut build = from_user(at.workspace, "python3");
    build
        .args(["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-binary", LLAMA_CPP_PYTHON])
        .arg("--wheel-dir")
        .arg(&wheels)
        .arg(LLAMA_CPP_PYTHON)
        .env("CMAKE_ARGS", "-DLLAMA_BUILD=OFF");
    workspace::run(build, "pip wheel llama-cpp-python")?;
    let wheel = find(&wheels, |name| name.starts_with("llama_cpp_python-"))?;
    let mut server = wheel.into_os_string();
    server.push("[server]");
    install(at, into, &[&server])?;
    let libraries = into.join("llama_cpp/lib");
    fs::create_dir_all(&libraries).map_err(|error| file("cannot make", &libraries, error))?;
    let usr_lib = at.image.join("usr/lib");
    let triplet =
        find(&usr_lib, |name| usr_lib.join(name).join("libllama.so.0").symlink_metadata().is_ok())?;
    // As the machine will see them.
    let triplet = Path::new("/usr/lib").join(triplet.file_name().unwrap_or_default());
    for name in LIBRARIES {
        let (link, library) = (format!("lib{name}.so"), format!("lib{name}.so.0"));
        let link = libraries.join(link);
        symlink(triplet.join(library), &link).map_err(|error| file("cannot make", &link, error))?;
    }
    Ok(())
}

/// Installs packages of Python for the machine: another Python than ours may be.
fn install(at: &Place<'_>, into: &Path, packages: &[&OsStr]) -> Result<(), Failure> {
    let platform = format!("{}-manylinux_2_40", env::consts::ARCH);
    let mut command = from_user(at.workspace, uv(at)?);
    command
        .args(["pip", "install", "--quiet", "--only-binary", ":all:"])
        .args(["--python-version", at.python, "--python-platform", &platform])
        .arg("--target")
        .arg(into)
        .args(packages);
    workspace::run(command, "uv pip install")
}

/// The installer that can do so.
fn uv(at: &Place<'_>) -> Result<PathBuf, Failure> {
    let tool = at.tools.join("uv");
    if !tool.is_dir() {
        once(&tool, |unfinished| {
            let mut command = from_user(at.workspace, "python3");
            command.args(["-m", "pip", "install", "--quiet", "--target"]).arg(unfinished).arg("uv");
            workspace::run(command, "pip install uv")
        })?;
    }
    Ok(tool.join("bin/uv"))
}

/// A command with the user's own environment, which says how the registry is reached.
fn from_user(workspace: &Workspace, program: impl AsRef<OsStr>) -> Command {
    let mut command = workspace.command(program);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Makes the directory `to`, whole or not at all.
fn once(to: &Path, make: impl FnOnce(&Path) -> Result<(), Failure>) -> Result<(), Failure> {
    let unfinished = to.with_extension("unfinished");
    let problem = |error| file("cannot make", &unfinished, error);
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(problem)?;
    }
    fs::create_dir_all(&unfinished).map_err(problem)?;
    make(&unfinished)?;
    fs::rename(&unfinished, to).map_err(problem)
}

/// The version of the image's Python.
fn python_of(image: &Path) -> Result<String, Failure> {
    let link = image.join("usr/bin/python3");
    let target = fs::read_link(&link).map_err(|error| file("cannot read", &link, error))?;
    let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match name.strip_prefix("python") {
        Some(version) if !version.is_empty() => Ok(version.to_owned()),
        _ => Err(Failure::Machine(format!("{} leads to {name}", link.display()))),
    }
}

/// The entry of a directory whose name is such.
fn find(directory: &Path, mut is_it: impl FnMut(&str) -> bool) -> Result<PathBuf, Failure> {
    let problem = |error| file("cannot read", directory, error);
    for entry in fs::read_dir(directory).map_err(problem)? {
        let entry = entry.map_err(problem)?;
        if is_it(&entry.file_name().to_string_lossy()) {
            return Ok(entry.path());
        }
    }
    Err(Failure::Machine(format!("{} lacks what was to be there", directory.display())))
}
