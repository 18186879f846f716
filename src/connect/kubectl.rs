//! `kubectl exec`: its options, as Ansible's `kubernetes.core.kubectl` names them, and the command line they make.
//!
//! A token or a password would stand on that line, where every user of the controller can read it: both are refused
//! with the way out, a kubeconfig file.

use quorate_value::{Value, str_of};

/// How `kubectl` is called for a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Way {
    /// The pod, where it is not called like the host.
    pub pod: Option<String>,
    /// Its container, where it has several.
    pub container: Option<String>,
    /// What comes before `exec`.
    before: Vec<String>,
    /// Variables that kubectl gets.
    pub environment: Vec<(String, String)>,
}

/// An option with a value: the flag, variables that set it, then variables of the environment.
type Setting = (&'static str, &'static [&'static str], &'static [&'static str]);

const FLAGS: [Setting; 8] = [
    ("--namespace", &["ansible_kubectl_namespace"], &["K8S_AUTH_NAMESPACE"]),
    ("--kubeconfig", &["ansible_kubectl_kubeconfig", "ansible_kubectl_config"], &["K8S_AUTH_KUBECONFIG"]),
    ("--context", &["ansible_kubectl_context"], &["K8S_AUTH_CONTEXT"]),
    ("--server", &["ansible_kubectl_host", "ansible_kubectl_server"], &["K8S_AUTH_HOST", "K8S_AUTH_SERVER"]),
    ("--username", &["ansible_kubectl_username", "ansible_kubectl_user"], &["K8S_AUTH_USERNAME"]),
    (
        "--client-certificate",
        &["ansible_kubectl_cert_file", "ansible_kubectl_client_cert"],
        &["K8S_AUTH_CERT_FILE"],
    ),
    ("--client-key", &["ansible_kubectl_key_file", "ansible_kubectl_client_key"], &["K8S_AUTH_KEY_FILE"]),
    (
        "--certificate-authority",
        &["ansible_kubectl_ssl_ca_cert", "ansible_kubectl_ca_cert"],
        &["K8S_AUTH_SSL_CA_CERT"],
    ),
];
const SECRETS: [Setting; 2] = [
    (
        "--token",
        &["ansible_kubectl_token", "ansible_kubectl_api_key"],
        &["K8S_AUTH_TOKEN", "K8S_AUTH_API_KEY"],
    ),
    ("--password", &["ansible_kubectl_password"], &["K8S_AUTH_PASSWORD"]),
];

impl Way {
    /// From variables (`lookup` gives the first of the names that has a value) and from the environment.
    pub fn new<E: From<String>>(
        lookup: &dyn Fn(&[&str]) -> Result<Option<Value>, E>,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, E> {
        let value = |names: &[&str], variables: &[&str]| -> Result<Option<Value>, E> {
            Ok(match lookup(names)? {
                Some(value) => Some(value),
                None => variables.iter().find_map(|name| environment(name)).map(Value::from),
            }
            .filter(|value| !str_of(value).is_empty()))
        };
        for (flag, names, variables) in SECRETS {
            if value(names, variables)?.is_some() {
                return Err(E::from(format!(
                    "{} would put a secret on kubectl's command line ({flag}), where every user of this machine can read it: \
                     write it into a kubeconfig file that only you can read, and name that by ansible_kubectl_kubeconfig",
                    names[0]
                )));
            }
        }
        let mut way = Way::default();
        for (flag, names, variables) in FLAGS {
            let Some(value) = value(names, variables)? else { continue };
            if matches!(value, Value::Dict(_)) {
                return Err(E::from(format!(
                    "{} is a mapping: name a file here, a kubeconfig holds keys and is not written to one by the way",
                    names[0]
                )));
            }
            way.before.push(format!("{flag}={}", str_of(&value)));
        }
        let verify = value(
            &["ansible_kubectl_verify_ssl", "ansible_kubectl_validate_certs"],
            &["K8S_AUTH_VERIFY_SSL"],
        )?;
        if verify.is_some_and(|value| value.to_bool_loose() == Some(false)) {
            way.before.push("--insecure-skip-tls-verify=true".into());
        }
        if let Some(extra) = value(&["ansible_kubectl_extra_args"], &["K8S_AUTH_EXTRA_ARGS"])? {
            let text = str_of(&extra);
            way.before.extend(
                quorate_agent::system::shlex::split(&text).map_err(|e| {
                    E::from(format!("ansible_kubectl_extra_args `{text}` does not split: {e}"))
                })?,
            );
        }
        if let Some(variables) = lookup(&["ansible_kubectl_local_env_vars"])? {
            let Value::Dict(variables) = &variables else {
                return Err(E::from(
                    "ansible_kubectl_local_env_vars must be a mapping of names and values".to_owned(),
                ));
            };
            way.environment = variables
                .iter()
                .map(|(name, value)| (name.json_text().into_owned(), str_of(value)))
                .collect();
        }
        let text = |value: Option<Value>| value.map(|value| str_of(&value));
        way.pod = text(value(&["ansible_kubectl_pod"], &["K8S_AUTH_POD"])?);
        way.container = text(value(&["ansible_kubectl_container"], &["K8S_AUTH_CONTAINER"])?);
        Ok(way)
    }

    /// The words before the command that runs in the pod.
    pub(super) fn exec(&self, pod: &str) -> Vec<String> {
        let mut words = vec!["kubectl".to_owned()];
        words.extend(self.before.iter().cloned());
        words.extend(["exec".into(), "-i".into(), pod.to_owned()]);
        if let Some(container) = &self.container {
            words.push(format!("--container={container}"));
        }
        words.push("--".into());
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(set: &[(&str, Value)], environment: &[(&str, &str)]) -> Result<Way, String> {
        let lookup = |names: &[&str]| -> Result<Option<Value>, String> {
            Ok(names
                .iter()
                .find_map(|name| set.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())))
        };
        Way::new(&lookup, &|name| {
            environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn options_stand_before_exec_and_variables_win_over_the_environment() {
        let way = way(
            &[
                ("ansible_kubectl_namespace", "etcd-test".into()),
                ("ansible_kubectl_config", "/k/config".into()),
                ("ansible_kubectl_container", "etcd".into()),
                ("ansible_kubectl_extra_args", "--request-timeout='1 m'".into()),
                ("ansible_kubectl_verify_ssl", "no".into()),
                ("ansible_kubectl_user", "".into()),
            ],
            &[("K8S_AUTH_NAMESPACE", "other"), ("K8S_AUTH_CONTEXT", "lab")],
        )
        .unwrap();
        assert_eq!(
            way.exec("etcd-0"),
            [
                "kubectl",
                "--namespace=etcd-test",
                "--kubeconfig=/k/config",
                "--context=lab",
                "--insecure-skip-tls-verify=true",
                "--request-timeout=1 m",
                "exec",
                "-i",
                "etcd-0",
                "--container=etcd",
                "--"
            ]
        );
    }

    #[test]
    fn secrets_are_never_put_on_the_line() {
        let said = way(&[("ansible_kubectl_token", "s3cret".into())], &[]).unwrap_err();
        assert!(said.contains("ansible_kubectl_kubeconfig") && !said.contains("s3cret"), "{said}");
        let said = way(&[], &[("K8S_AUTH_PASSWORD", "s3cret")]).unwrap_err();
        assert!(said.contains("ansible_kubectl_password") && !said.contains("s3cret"), "{said}");
    }
}
