//! The rules, as they are given to `iptables-restore`, compared with files. `BYRNIE_BLESS=1` writes them anew.

use std::{fs, path::Path, process::Command};

const CASES: [(&str, &[&str]); 8] = [
    ("plain", &[]),
    ("ports", &["--inbound-port", "25006", "--outbound-port", "25001", "--proxy-uid", "5001", "--proxy-gid", "5002"]),
    ("exclude-inbound-ports", &["--exclude-inbound-ports", "22,9000-9010"]),
    ("exclude-outbound-ports", &["--exclude-outbound-ports", "5432,27017-27019"]),
    ("exclude-outbound-cidrs", &["--exclude-outbound-cidrs", "169.254.169.254,10.0.0.0/8,fd00:ec2::254,fd00::/8"]),
    ("exclude-uids", &["--exclude-uids", "0,1000-1010"]),
    ("exclude-interfaces", &["--exclude-interfaces", "net1,veth+"]),
    (
        "everything",
        &[
            "--exclude-inbound-ports=22",
            "--exclude-outbound-ports=53",
            "--exclude-outbound-cidrs=10.0.0.0/8,fd00::/8",
            "--exclude-uids=1000",
            "--exclude-interfaces=net1",
        ],
    ),
];

#[test]
fn the_rules_are_those_of_the_golden_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for (name, arguments) in CASES {
        let printed = dry_run(arguments);
        let file = folder.join(format!("{name}.rules"));
        if std::env::var_os("BYRNIE_BLESS").is_some() {
            fs::write(&file, &printed).unwrap();
        }
        let golden = fs::read_to_string(&file).unwrap();
        assert!(printed == golden, "{} is not what is printed now:\n{printed}", file.display());
    }
}

#[test]
fn an_option_may_come_by_the_environment_and_be_empty() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_byrnie-init"));
    command.arg("--dry-run").env("BYRNIE_EXCLUDE_UIDS", "").env("BYRNIE_EXCLUDE_INBOUND_PORTS", "22");
    let output = command.output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed, dry_run(&["--exclude-inbound-ports", "22"]));
}

#[test]
fn a_bad_value_ends_with_2_and_names_the_option_what_was_found_and_what_is_accepted() {
    for (arguments, told) in [
        (
            &["--exclude-inbound-ports=80,http"][..],
            "invalid value '80,http' for '--exclude-inbound-ports <PORTS>': \"http\" is no port; 1 to 65535 is accepted, and a range such as 8000-8010",
        ),
        (
            &["--exclude-outbound-cidrs=10.0.0.1/8"],
            "invalid value '10.0.0.1/8' for '--exclude-outbound-cidrs <CIDRS>': 10.0.0.1/8 has bits beyond its length; 10.0.0.0/8 is accepted",
        ),
        (
            &["--proxy-gid=0"],
            "--proxy-gid is 0, which is root; the number of a user that is the proxy's alone is accepted, such as 1337",
        ),
        (
            &["--inbound-port=15001"],
            "--inbound-port and --outbound-port are both 15001; two different ports are accepted",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_byrnie-init")).args(arguments).arg("--dry-run").output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), format!("byrnie-init: {told}\n"));
    }
}

#[test]
fn the_page_names_every_option_with_its_variable() {
    let output = Command::new(env!("CARGO_BIN_EXE_byrnie-init")).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/redirection.md")).unwrap();
    let words = help.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_')));
    let named = |word: &&str| {
        (word.starts_with("--") && !matches!(*word, "--help" | "--version")) || word.starts_with("BYRNIE_")
    };
    let words: Vec<&str> = words.filter(named).collect();
    assert!(words.len() > 20, "{help}");
    for word in words {
        let row = page.lines().any(|line| line.starts_with('|') && line.contains(&format!("`{word}")));
        assert!(row, "{word} stands in no table of docs/redirection.md");
    }
}

fn dry_run(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_byrnie-init"));
    let output = command.args(arguments).arg("--dry-run").output().expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("rules are text")
}
