use super::*;

/// `stop etcd`, `restart host!` (`!`: later), `restart etcd~` (`~`: returns early).
fn told(deeds: &[Deed]) -> String {
    let one = |deed: &Deed| {
        let kind = match deed.kind {
            Kind::Start => "start",
            Kind::Restart => "restart",
            Kind::Kill => "kill",
            Kind::Stop => "stop",
        };
        let (subject, early) = match &deed.subject {
            Subject::Unit(unit) => (unit.as_str(), if deed.loose { "~" } else { "" }),
            Subject::Host => ("host", ""),
            Subject::Container(name) => (name.as_str(), "*"),
            Subject::Path(path) => (path.as_str(), ""),
            Subject::Pods(pods) => {
                let space = pods.namespace.as_ref().map(|name| format!(" in {name}")).unwrap_or_default();
                let early = if deed.loose { "~" } else { "" };
                return format!("{kind} {:?}{space}{early}", pods.which);
            }
        };
        format!("{kind} {subject}{early}{}", if deed.later { "!" } else { "" })
    };
    deeds.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[rustfmt::skip] // read in columns
const CASES: &[(&str, &str)] = &[
    ("systemctl restart etcd",                              "restart etcd"),
    ("/usr/bin/systemctl restart etcd.service",             "restart etcd.service"),
    ("systemctl --no-block restart etcd",                   "restart etcd~"),
    ("systemctl try-restart etcd",                          "restart etcd"),
    ("systemctl reload-or-restart etcd",                    "restart etcd"),
    ("systemctl stop chrony etcd",                          "stop chrony, stop etcd"),
    ("systemctl kill -s SIGKILL etcd",                      "kill etcd"),
    ("systemctl disable --now etcd",                        "stop etcd"),
    ("systemctl mask --now etcd",                           "stop etcd"),
    ("systemctl stop 'etcd@a.service'",                     "stop etcd@a.service"),
    ("service etcd stop",                                   "stop etcd"),
    ("service etcd restart",                                "restart etcd"),
    ("/etc/init.d/etcd restart",                            "restart etcd"),
    ("pkill -9 etcd",                                       "kill etcd"),
    ("killall etcd",                                        "kill etcd"),
    ("kill -9 $(pidof etcd)",                               "kill etcd"),
    ("kill `pgrep -x etcd`",                                "kill etcd"),
    ("reboot",                                              "restart host"),
    ("/sbin/shutdown -r now",                               "restart host"),
    ("shutdown -r +5",                                      "restart host!"),
    ("shutdown -h",                                         "stop host!"),
    ("systemctl poweroff",                                  "stop host"),
    ("init 6",                                              "restart host"),
    ("apt-get -y purge etcd-server",                        "stop etcd"),
    ("apt remove etcd",                                     "stop etcd"),
    ("dnf erase -y etcd-3.5.9-1.fc38.x86_64",               "stop etcd"),
    ("dpkg -P etcd",                                        "stop etcd"),
    ("rm -rf /var/lib/etcd /tmp/x",                         "stop /var/lib/etcd, stop /tmp/x"),
    ("podman stop --time=5 etcd",                           "stop etcd*"),
    ("docker restart etcd-1",                               "restart etcd-1*"),
    ("docker container kill etcd",                          "kill etcd*"),
    ("for c in etcd kubelet; do docker stop $c; done",      "stop etcd*"),
    ("mv /var/lib/etcd /root/old",                          "stop /var/lib/etcd"),
    ("mv -t /root /etc/kubernetes/manifests/etcd.yaml",     "stop /root, stop /etc/kubernetes/manifests/etcd.yaml"),
    ("rm -f /etc/kubernetes/manifests/etcd.yaml",           "stop /etc/kubernetes/manifests/etcd.yaml"),
    ("crictl stop $(crictl ps -q --name etcd)",             "stop etcd*"),
    ("crictl stopp etcd-1",                                 "stop etcd-1*"),
    ("crictl -r unix:///run/c.sock stop etcd",            "stop etcd*"),
    // Kubernetes'
    ("kubectl delete pod etcd-0",                           "restart Named(\"etcd-0\")"),
    ("kubectl -n kv delete pod/etcd-0 pod/etcd-1 --wait=false", "restart Named(\"etcd-0\") in kv~, restart Named(\"etcd-1\") in kv~"),
    ("k3s kubectl delete --namespace=kv po etcd-2 --grace-period 0 --force", "restart Named(\"etcd-2\") in kv"),
    ("kubectl delete pods --all -n kv",                     "restart All in kv"),
    ("kubectl delete pod -l app=etcd",                      "restart All"),
    ("kubectl delete pod -l app=web",                       ""),
    ("for p in etcd-0 web-0; do kubectl delete pod $p; done", "restart Some(\"$p\")"),
    ("kubectl get pods -o name | grep etcd | xargs kubectl delete", ""),
    ("kubectl delete sts etcd",                             "stop Set(\"etcd\", 0)"),
    ("kubectl delete ns kv",                                "stop All in kv"),
    ("oc scale statefulset/etcd --replicas=1",              "stop Set(\"etcd\", 1)"),
    ("kubectl scale --replicas 0 deployment web",           ""),
    ("kubectl rollout restart sts/etcd",                    "restart Set(\"etcd\", 0)"),
    ("kubectl drain node-1 --ignore-daemonsets --timeout=60s", "restart Some(\"those on node-1\")"),
    ("kubectl exec -i etcd-0 -c etcd -- kill 1",            "kill Named(\"etcd-0\")"),
    ("kubectl exec etcd-0 -- sh -c 'sleep 1; kill 1'",      "kill Named(\"etcd-0\")"),
    ("kubectl exec etcd-0 -- etcdctl endpoint health",      ""),
    ("kubectl delete pod etcd-0 --dry-run=client",          ""),
    ("kubectl get pod etcd-0",                              ""),
    ("kubectl delete configmap etcd-0",                     ""),
    // in company
    ("cd /tmp && systemctl stop etcd; rm -rf x; systemctl start etcd", "stop etcd, start etcd"),
    ("true || systemctl restart etcd",                      "restart etcd"),
    ("if systemctl is-active etcd; then systemctl restart etcd; fi", "restart etcd"),
    ("sleep 1\nsystemctl restart etcd # now\n",             "restart etcd"),
    ("sudo -u root systemctl restart etcd",                 "restart etcd"),
    ("ETCD=1 env A=b timeout 5 systemctl restart etcd",     "restart etcd"),
    ("nohup nice -n 5 systemctl restart etcd >/dev/null 2>&1 &", "restart etcd"),
    ("sh -c 'sleep 1; systemctl restart etcd'",             "restart etcd"),
    ("bash -lc \"su - root -c 'systemctl stop etcd'\"",     "stop etcd"),
    ("x=$(systemctl stop etcd)",                            "stop etcd"),
    ("for u in etcd patroni; do systemctl restart $u; done", "restart etcd"),
    ("echo `reboot`",                                       "restart host"),
    // not ours to stop
    ("apt-get install etcd",                                ""),
    ("apt-get remove etcd-client",                          ""),
    ("apt-get -s remove etcd",                              ""),
    ("rm /var/lib/etcd/x",                                  ""),
    ("podman logs etcd",                                    ""),
    ("docker run -d --name etcd quay.io/etcd etcd --name x", ""),
    ("docker exec etcd kill 1",                             ""),
    ("systemctl start etcd",                                "start etcd"),
    ("systemctl reload etcd",                               ""),
    ("systemctl status etcd",                               ""),
    ("systemctl enable etcd",                               ""),
    ("systemctl disable etcd",                              ""),
    ("systemctl restart patroni",                           "restart patroni"),
    ("systemctl --user stop etcd",                          ""),
    ("systemctl -H other stop etcd",                        ""),
    ("systemctl daemon-reload",                             ""),
    ("service etcd status",                                 ""),
    ("etcdctl member remove 8e9e05c52164694d",              ""),
    ("echo systemctl restart etcd",                         ""),
    ("echo 'systemctl restart etcd'",                       ""),
    ("grep reboot /var/log/syslog",                         ""),
    ("# systemctl restart etcd",                            ""),
    ("journalctl -u etcd > reboot",                         ""),
    ("pkill -0 etcd",                                       ""),
    ("pkill etcdctl",                                       ""),
    ("kill 123",                                            ""),
    ("shutdown -c",                                         ""),
    ("systemctl restart $unit",                             "restart $unit"),
    ("ls /var/lib/etcd/member",                             ""),
    ("",                                                    ""),
    ("'unfinished \"quotes $(and `more",                    ""),
];

#[test]
fn what_text_does() {
    for (text, expected) in CASES {
        assert_eq!(told(&scan(text)), *expected, "{text}");
    }
}

#[test]
fn words_are_not_split_again() {
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    assert_eq!(told(&scan_words(&words(&["systemctl", "restart", "etcd"]))), "restart etcd");
    assert_eq!(told(&scan_words(&words(&["sh", "-c", "systemctl stop etcd; true"]))), "stop etcd");
    assert_eq!(told(&scan_words(&words(&["echo", "a; systemctl stop etcd"]))), "");
}
