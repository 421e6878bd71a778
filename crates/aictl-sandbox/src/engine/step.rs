//! The steps in which a sandbox is made, so that a failure has a name.

use std::fmt;

use nix::errno::Errno;

macro_rules! steps {
    ($($name:ident = $text:literal),+ $(,)?) => {
        /// A step in the making of a sandbox.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Step {
            $(#[doc = $text] $name),+
        }

        impl Step {
            const ALL: &[Self] = &[$(Self::$name),+];

            fn text(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

steps! {
    Clone = "make the namespaces",
    UserMap = "map the user into the user namespace",
    HostName = "set the host name",
    OpenTree = "open what is to be seen inside",
    Root = "mount the new root",
    Populate = "fill the new root",
    Bind = "mount the system's programs",
    ReadOnly = "make the root read-only",
    Devices = "mount the device files",
    Proc = "mount /proc",
    Script = "write the script",
    Pivot = "change to the new root",
    Watch = "hand over /proc to the watcher",
    Capabilities = "drop all capabilities",
    Parent = "tie the sandbox's life to sandboxd's",
    Fork = "start the program's process",
    Network = "make the network namespace",
    Stdio = "set up the standard streams",
    Session = "leave the session",
    Rlimits = "set the resource limits",
    Landlock = "apply Landlock",
    CloseFds = "close all other descriptors",
    Seccomp = "apply the system call filter",
    Execute = "execute the interpreter",
    Wait = "have the interpreter wait for its job",
    Job = "give the interpreter its job",
}

impl Step {
    /// The number under which the step travels; 0 is no step.
    #[must_use]
    pub fn number(self) -> u32 {
        self as u32 + 1
    }

    /// The step with this number.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|step| step.number() == number)
    }
}

/// A sandbox could not be made: where, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetupError {
    /// The step that failed.
    pub step: Step,
    /// What the kernel said.
    pub errno: Errno,
}

impl SetupError {
    /// What a user can do about it, where that is known.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        match (self.step, self.errno) {
            (Step::Clone | Step::Network, Errno::ENOSPC) => Some(
                "no more namespaces may be made: raise what is too low of user.max_user_namespaces, \
                 user.max_mnt_namespaces and the like (`sysctl user` shows them), such as with \
                 `sudo sysctl -w user.max_user_namespaces=10000`",
            ),
            // Security modules say EACCES, all others EPERM (user_namespaces(7), and the kernel's
            // hook `userns_create`).
            (Step::Clone | Step::Network | Step::UserMap, Errno::EACCES) => Some(
                "a security module forbids user namespaces to this program: AppArmor's profile for \
                 it must grant `userns`, as /etc/apparmor.d/aictl does (`sudo apparmor_parser \
                 --replace /etc/apparmor.d/aictl` loads it), and SELinux's policy \
                 `user_namespace create`",
            ),
            (Step::Clone | Step::Network, Errno::EPERM) => Some(
                "user namespaces are forbidden here: by the sysctl \
                 kernel.unprivileged_userns_clone (1 allows), in a chroot, or by a system call \
                 filter, such as a container's; `aictl doctor` says which it is",
            ),
            // No kernel that has all else lacks the call (clone3(2), Linux 5.3).
            (Step::Clone, Errno::ENOSYS) => Some(
                "a system call filter forbids it: a container must allow clone3 and namespaces in its \
                 seccomp profile, and RestrictNamespaces= of a systemd unit forbids them",
            ),
            (Step::Clone | Step::Network, Errno::EINVAL) => {
                Some("the kernel lacks a namespace that the sandbox needs (Linux 5.12 or newer)")
            }
            (Step::Clone | Step::Fork, Errno::EAGAIN) => {
                Some("the limit on processes is reached: see `ulimit -u`")
            }
            (Step::UserMap, Errno::EPERM) => Some(
                "the kernel made a user namespace without rights in it: on Ubuntu 24.04 and later \
                 AppArmor must grant `userns` to aictl (kernel.apparmor_restrict_unprivileged_userns \
                 is 1): `sudo apparmor_parser --replace /etc/apparmor.d/aictl`",
            ),
            (Step::Proc, Errno::EPERM) => Some(
                "parts of /proc are hidden on this machine, as containers do: run aictl outside \
                 the container, or unmask its /proc",
            ),
            (Step::Root | Step::OpenTree | Step::Bind, Errno::EPERM) => Some(
                "mounting is forbidden inside user namespaces here (AppArmor or SELinux): \
                 `journalctl -k` names the rule",
            ),
            _ => None,
        }
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the sandbox could not {}: {}", self.step.text(), self.errno.desc())?;
        if let Some(advice) = self.advice() {
            write!(f, "; {advice}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SetupError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_a_number_of_its_own() {
        for (index, step) in Step::ALL.iter().enumerate() {
            assert_eq!(step.number() as usize, index + 1);
            assert_eq!(Step::from_number(step.number()), Some(*step));
        }
        assert_eq!(Step::from_number(0), None);
        assert_eq!(Step::from_number(1000), None);
    }

    #[test]
    fn a_machine_without_user_namespaces_is_told_which_knob() {
        let knobs = [
            (Errno::ENOSPC, "user.max_user_namespaces"),
            (Errno::EPERM, "kernel.unprivileged_userns_clone"),
            (Errno::EACCES, "AppArmor's profile"),
            (Errno::ENOSYS, "a system call filter forbids it"),
        ];
        for (errno, _) in knobs {
            let text = SetupError { step: Step::Clone, errno }.to_string();
            for (other, knob) in knobs {
                assert_eq!(text.contains(knob), errno == other, "{errno}: {knob}: {text}");
            }
        }
    }
}
