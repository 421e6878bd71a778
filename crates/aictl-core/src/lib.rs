//! What a host can be asked. Each part reads the machine at its edge, and decides by functions
//! that do not.

mod cgroup_mounts;
pub mod config_files;
pub mod control_group;
pub mod dbus_records;
pub mod gpu;
pub mod header_fields;
pub mod helper;
pub mod host;
pub mod host_status;
pub mod journal;
mod kernel_file;
pub mod listeners;
pub mod peer;
pub mod plain_file;
pub mod plain_text;
pub mod redact;
pub mod systemd;
pub mod unit_usage;
