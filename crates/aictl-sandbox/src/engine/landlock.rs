//! Landlock: which files a sandboxed program may use, no TCP, no signals and no abstract sockets
//! across the sandbox's edge (landlock(7)).

use std::{ffi::CString, os::fd::BorrowedFd};

use aictl_api::layer::Layer;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, Scope,
};

/// What may be done below a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// Read files and directories, execute files.
    ReadExecute,
    /// See what directories hold.
    List,
    /// Read files and directories.
    Read,
    /// Read and write one device file.
    Device,
    /// Do anything but execute files and make device files.
    Scratch,
}

impl Grant {
    fn access(self) -> BitFlags<AccessFs> {
        match self {
            Self::ReadExecute => AccessFs::Execute | AccessFs::ReadFile | AccessFs::ReadDir,
            Self::List => AccessFs::ReadDir.into(),
            Self::Read => AccessFs::ReadFile | AccessFs::ReadDir,
            Self::Device => AccessFs::ReadFile | AccessFs::WriteFile,
            Self::Scratch => {
                AccessFs::from_all(ABI::V5)
                    & !(AccessFs::Execute
                        | AccessFs::MakeChar
                        | AccessFs::MakeBlock
                        | AccessFs::IoctlDev)
            }
        }
    }
}

/// One rule: a path inside the sandbox and what may be done below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The path.
    pub path: CString,
    /// What is granted.
    pub grant: Grant,
}

/// The layer that this kernel offers, if it offers Landlock at all.
#[must_use]
pub fn available() -> Option<Layer> {
    crate::sys::landlock_abi().map(Layer::Landlock)
}

/// A ruleset that grants nothing yet: every right on files that the kernel can handle, TCP, and
/// all scopes. Rights that the kernel does not know are left out.
///
/// # Errors
/// If the kernel refuses it.
pub fn ruleset() -> Result<RulesetCreated, RulesetError> {
    Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V7))?
        .handle_access(AccessNet::from_all(ABI::V7))?
        .scope(Scope::from_all(ABI::V7))?
        .create()
}

/// Grants what a rule says on the directory or file behind `at`. Does not allocate.
///
/// # Errors
/// If the kernel refuses it.
pub fn grant(
    ruleset: &mut RulesetCreated,
    at: BorrowedFd<'_>,
    grant: Grant,
) -> Result<(), RulesetError> {
    ruleset.add_rule(PathBeneath::new(at, grant.access())).map(drop)
}
