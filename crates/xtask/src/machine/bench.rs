//! The machine that the bench measures in: as the one of the tests, with others in it who make
//! sandboxes, and with everything installed as it is shipped.

use crate::debian;
use crate::failure::Failure;
use crate::install::{self, Host};
use crate::workspace::Workspace;

use super::boot::Machine;
use super::image::{self, Image};
use super::{NEEDS, STAND_INS, lay_over};

const IMAGE: Image = Image { packages: &["bubblewrap", "curl", "firejail"], ..STAND_INS.image };
/// What is laid over it.
const OVER: &[&str] = &["tests/machine/people", "tests/machine/root", "tests/bench/root"];

/// Boots the machine, and has it used.
///
/// # Errors
/// A failure if there is no machine, or if its use fails.
pub fn use_for_bench<T>(
    workspace: &Workspace,
    work: impl FnOnce(&Machine) -> Result<T, Failure>,
) -> Result<T, Failure> {
    if !debian::is_root() {
        return Err(Failure::NotRoot("bench --installed"));
    }
    if let Some(missing) = debian::provide(NEEDS, debian::can_install()).first() {
        return Err(Failure::Machine(missing.to_string()));
    }
    workspace.build_shipped()?;
    let directory = workspace.target.join("machine");
    let image = image::provide(&IMAGE, &directory)?;
    let machine = Machine::boot(&image, &[], &directory.join("console.log"))?;
    let result = ready(workspace, &machine).and_then(|()| work(&machine));
    if result.is_err() {
        let journal = directory.join("journal.log");
        machine.save_journal(&journal);
        eprintln!("what the machine said: {}", journal.display());
    }
    machine.shut_down();
    result
}

fn ready(workspace: &Workspace, machine: &Machine) -> Result<(), Failure> {
    let root = machine.root();
    OVER.iter().try_for_each(|over| lay_over(&workspace.root.join(over), &root))?;
    STAND_INS.make_known.iter().try_for_each(|argv| machine.run(argv))?;
    install::place(workspace, |name| workspace.shipped(name), &root)?;
    install::activate(machine)
}
