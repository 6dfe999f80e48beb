//! Pods and what becomes of them, in files. `BYRNIE_BLESS=1` writes them anew: read the difference.

use std::{collections::BTreeSet, fs, path::Path};

use byrnie_injector::{Settings, injected};

use super::{applied, envoys, leaving_probes, patch, yaml};

type Case = (&'static str, fn() -> Settings);

const CASES: [Case; 17] = [
    ("already-injected", Settings::default),
    ("annotations", Settings::default),
    ("deployment", Settings::default),
    ("envoy", Settings::default),
    ("envoy-own-proxy", envoys),
    ("envoy-probes", Settings::default),
    ("init-containers", Settings::default),
    ("job", Settings::default),
    ("metrics", Settings::default),
    ("metrics-kept", Settings::default),
    ("marked-only", Settings::default),
    ("no-delay", Settings::default),
    ("own-proxy", Settings::default),
    ("probes", Settings::default),
    ("probes-kept", leaving_probes),
    ("security-contexts", Settings::default),
    ("several-containers", Settings::default),
];

#[test]
fn pods_become_those_of_the_golden_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for (name, settings) in CASES {
        let settings = Settings {
            init_image: "byrnie-init:1".into(),
            proxy_image: "byrnie-proxy:1".into(),
            envoy_image: "envoy:1".into(),
            ..settings()
        };
        let pod = yaml::read(&fs::read_to_string(folder.join(format!("{name}.input.yaml"))).unwrap());
        let done = applied(pod.clone(), &patch(&pod, &settings).unwrap());
        assert_eq!(done, injected(&pod, &settings).unwrap(), "{name}: the patch does not lead there");
        assert_eq!(patch(&done, &settings).unwrap(), [], "{name}: there is something left to do");
        let file = folder.join(format!("{name}.golden.yaml"));
        if std::env::var_os("BYRNIE_BLESS").is_some() {
            fs::write(&file, byrnie_source::crds::yaml(&done)).unwrap();
        }
        let golden = yaml::read(&fs::read_to_string(&file).unwrap());
        assert!(golden == done, "{} is not what is made now; BYRNIE_BLESS=1 writes it anew", file.display());
    }
}

#[test]
fn every_file_is_of_a_case() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let wanted = CASES.iter().flat_map(|(name, _)| [format!("{name}.golden.yaml"), format!("{name}.input.yaml")]);
    assert_eq!(names.collect::<BTreeSet<_>>(), wanted.collect());
}
