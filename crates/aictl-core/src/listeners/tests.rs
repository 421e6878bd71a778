use std::{
    net::{TcpListener, TcpStream},
    os::unix::fs::MetadataExt,
    path::PathBuf,
};

use nix::unistd::geteuid;

use super::*;

fn listener(address: &str) -> Listener {
    let address = address.parse().unwrap();
    Listener { address, only_v6: false, uid: 0, control_group: None }
}

#[test]
fn a_connection_comes_to_who_is_bound_most_narrowly() {
    let only_v6 = Listener { only_v6: true, ..listener("[::]:80") };
    let all = [
        listener("127.0.0.1:80"),
        listener("0.0.0.0:80"),
        listener("[::1]:80"),
        listener("[::]:80"),
        only_v6,
        listener("[::ffff:127.0.0.5]:80"),
        listener("127.0.0.1:81"),
    ];
    let table: [(&str, &[usize]); 6] = [
        ("127.0.0.1:80", &[0]),
        ("127.0.0.2:80", &[1]),
        ("127.0.0.5:80", &[5]),
        ("[::1]:80", &[2]),
        ("[::2]:80", &[3, 4]),
        ("127.0.0.1:82", &[]),
    ];
    for (to, expected) in table {
        let expected: Vec<&Listener> = expected.iter().map(|at| &all[*at]).collect();
        assert_eq!(reached(&all, to.parse().unwrap()), expected, "{to}");
    }
    let without_v4 = [only_v6, listener("[::]:80")];
    assert_eq!(reached(&without_v4, "127.0.0.1:80".parse().unwrap()), [&without_v4[1]]);
    assert!(!only_v6.takes("127.0.0.1:80".parse().unwrap()));
}

#[test]
fn whose_a_listener_is_is_known_or_not() {
    let groups = BTreeSet::from([5, 6]);
    let with = |control_group| Listener { control_group, ..listener("127.0.0.1:1") };
    assert_eq!(with(Some(5)).belongs_to(&groups), Some(true));
    assert_eq!(with(Some(7)).belongs_to(&groups), Some(false));
    assert_eq!(with(None).belongs_to(&groups), None);
}

/// A hierarchy of directories, whose inodes are their numbers as in the kernel's.
struct Groups(PathBuf);

impl Groups {
    fn new(name: &str, groups: &[&str]) -> Self {
        let name = format!("aictl-listeners-{name}-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        for group in groups {
            fs::create_dir_all(root.join(group)).unwrap();
        }
        fs::write(root.join("cgroup.procs"), "1\n").unwrap();
        Self(root)
    }

    fn roots(&self) -> Roots {
        let line = format!("1 1 0:1 / {} rw - cgroup2 cgroup2 rw", self.0.display());
        Roots::read(&line, PathBuf::from("/proc"))
    }

    fn number(&self, group: &str) -> u64 {
        fs::metadata(self.0.join(group)).unwrap().ino()
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn groups_have_numbers_and_numbers_have_units() {
    let ollama = "system.slice/ollama.service";
    let deep = "system.slice/ollama.service/runner/deep";
    let vllm = "user.slice/user-1000.slice/user@1000.service/app.slice/vllm.service";
    let groups = Groups::new("units", &[deep, vllm, "system.slice/tgi.service"]);
    let roots = groups.roots();
    let own =
        ["", "/runner", "/runner/deep"].map(|below| groups.number(&format!("{ollama}{below}")));
    assert_eq!(groups_of(&roots, &format!("/{ollama}")), BTreeSet::from(own));
    assert_eq!(groups_of(&roots, "/system.slice/x.service"), BTreeSet::new());
    assert_eq!(groups_of(&Roots::default(), &format!("/{ollama}")), BTreeSet::new());
    let slice = groups.number("system.slice");
    let asked = BTreeSet::from([groups.number(deep), groups.number(vllm), slice, u64::MAX, 1]);
    let units = units_of(&roots, &asked);
    let expected = [
        (groups.number(deep), "ollama.service".to_owned()),
        (groups.number(vllm), "vllm.service".to_owned()),
    ];
    assert_eq!(units, BTreeMap::from(expected));
    assert_eq!(units_of(&Roots::default(), &asked), BTreeMap::new());
}

/// The number of the control group that this test is in, where the kernel has more than the root.
fn own_group() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    Roots::host().id(own).filter(|number| *number != ROOT_GROUP)
}

#[test]
fn the_kernel_lists_what_listens_and_who_is_at_the_other_end() {
    for address in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"] {
        // A machine without IPv6.
        let Ok(socket) = TcpListener::bind(address) else { continue };
        let address = socket.local_addr().unwrap();
        let uid = geteuid().as_raw();
        let found = diag::listening().unwrap();
        let [found] = reached(&found, address)[..] else { panic!("{address}: {found:?}") };
        let expected =
            Listener { address, only_v6: found.only_v6, uid, control_group: own_group() };
        assert_eq!(*found, expected);
        let expected = Listener { only_v6: false, control_group: None, ..expected };
        let of_files = proc_net::listening(Path::new("/proc")).unwrap();
        assert!(of_files.contains(&expected), "{of_files:?}");

        let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
        let tos = loopback.map(|ip| SocketAddr::new(ip, address.port()));
        let to = *tos.iter().find(|to| found.takes(**to)).unwrap();
        let client = TcpStream::connect(to).unwrap();
        let served = served_by(client.local_addr().unwrap(), to).unwrap();
        assert_eq!(
            (served.address.ip().to_canonical(), served.address.port()),
            (to.ip(), to.port())
        );
        assert_eq!(served.control_group, own_group());
        let nobody = SocketAddr::new(to.ip(), 1);
        assert_eq!(served_by(nobody, to), None);
    }
}
