//! What a user may type as a `kubectl:` target, and what they are told when it is wrong.

use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> Target {
    Target::parse(text).expect("a good target")
}

fn complaint(text: &str) -> String {
    Target::parse(text).expect_err("a bad target").to_string()
}

#[test]
fn a_service_by_name_and_port_is_enough() {
    let target = parsed("kubectl:svc/api-gateway:3000");
    assert_eq!(target.resource.to_string(), "svc/api-gateway");
    assert_eq!(target.port.to_string(), "3000");
    assert_eq!(target.namespace, None);
    assert_eq!(target.kubectl, PathBuf::from("kubectl"));
    assert_eq!(target.pool, NonZeroU16::MIN);
    assert_eq!(target.cluster_arguments(), Vec::<String>::new());
}

#[test]
fn the_scheme_may_have_been_taken_off_already() {
    assert_eq!(parsed("shop/svc/web:80"), parsed("kubectl:shop/svc/web:80"));
}

#[test]
fn the_namespace_may_stand_before_the_object_or_in_the_query() {
    assert_eq!(
        parsed("kubectl:shop/pod/web-0:80").namespace.as_deref(),
        Some("shop")
    );
    assert_eq!(
        parsed("kubectl:pod/web-0:80?namespace=shop").namespace.as_deref(),
        Some("shop")
    );
    assert_eq!(
        parsed("kubectl:shop/pod/web-0:80?namespace=shop")
            .namespace
            .as_deref(),
        Some("shop")
    );
    assert!(complaint("kubectl:shop/pod/web-0:80?namespace=till").contains("two namespaces"));
}

#[test]
fn every_spelling_of_a_kind_is_understood() {
    for (word, kind) in [
        ("pod", ResourceKind::Pod),
        ("svc", ResourceKind::Service),
        ("service", ResourceKind::Service),
        ("deploy", ResourceKind::Deployment),
        ("deployment", ResourceKind::Deployment),
        ("statefulset", ResourceKind::StatefulSet),
    ] {
        assert_eq!(parsed(&format!("kubectl:{word}/x:1")).resource.kind, kind);
    }
    assert!(complaint("kubectl:ingress/x:80").contains("cannot forward to a `ingress`"));
}

#[test]
fn a_port_may_have_a_name() {
    assert_eq!(
        parsed("kubectl:svc/web:https").port,
        RemotePort::Name("https".to_owned())
    );
    for bad in ["0", "65536", "-http", "Http", "", "a-very-long-port-name"] {
        assert!(
            complaint(&format!("kubectl:svc/web:{bad}")).contains("neither a port number"),
            "{bad}"
        );
    }
}

#[test]
fn the_query_says_which_cluster_which_kubectl_and_how_many() {
    let target = parsed(
        "kubectl:svc/web:80?context=arn:aws:eks:eu-west-1:1:cluster/a&kubeconfig=/k/a%26b&kubectl=/opt/kubectl&pool=4",
    );
    assert_eq!(
        target.cluster_arguments(),
        [
            "--kubeconfig=/k/a&b",
            "--context=arn:aws:eks:eu-west-1:1:cluster/a"
        ]
    );
    assert_eq!(target.kubectl, PathBuf::from("/opt/kubectl"));
    assert_eq!(target.pool.get(), 4);
}

#[test]
fn what_is_missing_is_named() {
    assert!(complaint("kubectl:svc/web").contains("lacks the port"));
    assert!(complaint("kubectl:web:80").contains("does not say what to forward to"));
    assert!(complaint("kubectl:a/b/c/d:80").contains("does not say what to forward to"));
    assert!(complaint("kubectl:svc/web:80?pool").contains("lacks its value"));
    assert!(complaint("kubectl:svc/web:80?pool=0").contains("from 1 to 32"));
    assert!(complaint("kubectl:svc/web:80?colour=red").contains("`colour` is not known here"));
    assert!(complaint("kubectl:svc/web:80?kubeconfig=%2").contains("hexadecimal"));
}

#[test]
fn no_name_is_taken_for_a_flag_of_kubectls() {
    for bad in [
        "kubectl:svc/--all:80",
        "kubectl:-n/svc/web:80",
        "kubectl:svc/we b:80",
        "kubectl:svc/WEB:80",
    ] {
        Target::parse(bad).expect_err(bad);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn nothing_that_can_be_typed_panics_or_floods_the_terminal(text in "(kubectl:)?(.|[a-z/:?&=%0-9]){0,300}") {
        if let Err(error) = Target::parse(&text) {
            let told = error.to_string();
            prop_assert!(told.chars().count() < 400);
            prop_assert!(!told.chars().any(char::is_control));
        }
    }
}
