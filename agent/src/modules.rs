//! All modules. To add one: a file, its `mod` line, its line in [`MODULES`]; both lists are sorted.

pub mod acl;
pub mod alternatives;
pub mod apk;
pub mod apt;
pub mod apt_key;
pub mod apt_repository;
pub mod archive;
pub mod assemble;
pub mod async_status;
pub mod at;
pub mod authorized_key;
pub mod blockinfile;
pub mod capabilities;
pub mod command;
pub mod copy;
pub mod cron;
pub mod crypto;
pub mod deb822_repository;
pub mod debconf;
pub mod detached;
pub mod dnf;
pub mod dpkg_selections;
mod edit;
pub mod etcd_facts;
pub mod etcd_service;
pub mod expect;
pub mod fetch;
pub mod file;
pub mod filesystem;
pub mod find;
pub mod foreign;
pub mod get_certificate;
pub mod get_url;
pub mod getent;
pub mod git;
pub mod git_config;
pub mod group;
pub mod hostname;
pub mod htpasswd;
pub mod ini_file;
pub mod iptables;
pub mod kept;
pub mod kernel_blacklist;
pub mod known_hosts;
pub mod lineinfile;
pub mod locale_gen;
pub mod lvg;
pub mod lvol;
pub mod make;
pub mod modprobe;
pub mod mount;
pub mod mount_facts;
pub mod openssh_keypair;
pub mod openssl_csr;
pub mod openssl_csr_info;
pub mod openssl_csr_pipe;
pub mod openssl_dhparam;
pub mod openssl_pkcs12;
pub mod openssl_privatekey;
pub mod openssl_privatekey_info;
pub mod openssl_privatekey_pipe;
pub mod openssl_publickey;
pub mod openssl_publickey_info;
pub mod package;
pub mod package_facts;
pub mod pam_limits;
pub mod parted;
pub mod pids;
pub mod ping;
pub mod pip;
pub mod read_csv;
pub mod replace;
pub mod rpm_key;
pub mod script;
pub mod seboolean;
pub mod selinux;
pub mod service;
pub mod service_facts;
pub mod setup;
pub mod slurp;
pub mod stat;
pub mod subversion;
pub mod sudoers;
pub mod supervisorctl;
pub mod synchronize;
pub mod sysctl;
pub mod systemd_service;
pub mod sysvinit;
pub mod tempfile;
pub mod timezone;
pub mod ufw;
pub mod unarchive;
pub mod uri;
pub mod user;
pub mod wait_for;
pub mod wakeonlan;
mod web;
pub mod x509_certificate;
pub mod x509_certificate_info;
pub mod x509_certificate_pipe;
pub mod x509_crl;
pub mod x509_crl_info;
pub mod xattr;
pub mod yum_repository;

use crate::module::Module;

/// The one registration table.
#[rustfmt::skip] // one line a module, so that additions never collide
pub const MODULES: &[&dyn Module] = &[
    &acl::Acl,
    &alternatives::Alternatives,
    &apk::Apk,
    &apt::Apt,
    &apt_key::AptKey,
    &apt_repository::AptRepository,
    &archive::Archive,
    &assemble::Assemble,
    &async_status::AsyncStatus,
    &at::At,
    &authorized_key::AuthorizedKey,
    &blockinfile::BlockInFile,
    &capabilities::Capabilities,
    &command::CommandModule,
    &copy::Copy,
    &cron::Cron,
    &deb822_repository::Deb822Repository,
    &debconf::Debconf,
    &dnf::Dnf,
    &dpkg_selections::DpkgSelections,
    &etcd_facts::EtcdFacts,
    &etcd_service::EtcdService,
    &expect::Expect,
    &fetch::Fetch,
    &file::FileModule,
    &filesystem::Filesystem,
    &find::Find,
    &foreign::Foreign,
    &get_certificate::GetCertificate,
    &get_url::GetUrl,
    &getent::Getent,
    &git::Git,
    &git_config::GitConfig,
    &group::GroupModule,
    &hostname::Hostname,
    &htpasswd::Htpasswd,
    &ini_file::IniFile,
    &iptables::Iptables,
    &kept::Kept,
    &kernel_blacklist::KernelBlacklist,
    &known_hosts::KnownHosts,
    &lineinfile::LineInFile,
    &locale_gen::LocaleGen,
    &lvg::Lvg,
    &lvol::Lvol,
    &make::Make,
    &modprobe::Modprobe,
    &mount::Mount,
    &mount_facts::MountFacts,
    &openssh_keypair::OpensshKeypair,
    &openssl_csr::OpensslCsr,
    &openssl_csr_info::OpensslCsrInfo,
    &openssl_csr_pipe::OpensslCsrPipe,
    &openssl_dhparam::OpensslDhparam,
    &openssl_pkcs12::OpensslPkcs12,
    &openssl_privatekey::OpensslPrivatekey,
    &openssl_privatekey_info::OpensslPrivatekeyInfo,
    &openssl_privatekey_pipe::OpensslPrivatekeyPipe,
    &openssl_publickey::OpensslPublickey,
    &openssl_publickey_info::OpensslPublickeyInfo,
    &package::Package,
    &package_facts::PackageFacts,
    &pam_limits::PamLimits,
    &parted::Parted,
    &pids::Pids,
    &ping::Ping,
    &pip::Pip,
    &read_csv::ReadCsv,
    &command::Shell,
    &replace::Replace,
    &rpm_key::RpmKey,
    &script::Script,
    &seboolean::Seboolean,
    &selinux::Selinux,
    &service::Service,
    &service_facts::ServiceFacts,
    &setup::Setup,
    &slurp::Slurp,
    &stat::Stat,
    &subversion::Subversion,
    &sudoers::Sudoers,
    &supervisorctl::Supervisorctl,
    &synchronize::Synchronize,
    &sysctl::Sysctl,
    &systemd_service::SystemdService,
    &sysvinit::Sysvinit,
    &tempfile::TempFile,
    &timezone::Timezone,
    &ufw::Ufw,
    &unarchive::Unarchive,
    &uri::Uri,
    &user::UserModule,
    &wait_for::WaitFor,
    &wakeonlan::Wakeonlan,
    &x509_certificate::X509Certificate,
    &x509_certificate_info::X509CertificateInfo,
    &x509_certificate_pipe::X509CertificatePipe,
    &x509_crl::X509Crl,
    &x509_crl_info::X509CrlInfo,
    &xattr::Xattr,
    &yum_repository::YumRepository,
];

/// The module of this name: short, `ansible.builtin.NAME`, `ansible.legacy.NAME`, or with its own collection.
pub fn find(name: &str) -> Option<&'static dyn Module> {
    let (collection, short) = match name.rsplit_once('.') {
        Some((collection, short)) => (Some(collection), short),
        None => (None, name),
    };
    MODULES.iter().copied().find(|module| {
        let spec = module.spec();
        let named = spec.name == short || spec.aliases.contains(&short);
        named
            && collection
                .is_none_or(|c| c == spec.collection || matches!(c, "ansible.builtin" | "ansible.legacy"))
    })
}

/// Every name that [`find`] answers, aliases included.
pub fn names() -> impl Iterator<Item = &'static str> {
    MODULES.iter().flat_map(|m| std::iter::once(m.spec().name).chain(m.spec().aliases.iter().copied()))
}

/// The name that `name` most likely meant.
pub fn nearest(name: &str) -> Option<&'static str> {
    let short = name.rsplit('.').next().unwrap_or(name);
    let names =
        MODULES.iter().flat_map(|m| std::iter::once(m.spec().name).chain(m.spec().aliases.iter().copied()));
    crate::args::nearest(short, names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Lit, Param};
    use std::collections::BTreeSet;

    #[test]
    fn the_table_is_sorted_and_names_are_unique() {
        let names: Vec<_> = MODULES.iter().map(|module| module.spec().name).collect();
        let mut seen = BTreeSet::new();
        for module in MODULES {
            for name in std::iter::once(module.spec().name).chain(module.spec().aliases.iter().copied()) {
                assert!(seen.insert(name), "{name} twice");
            }
        }
        assert!(!names.is_empty());
    }

    #[test]
    fn every_parameter_is_documented_and_consistent() {
        fn look(module: &str, param: &Param) {
            assert!(!param.doc.is_empty(), "{module}.{} has no documentation", param.name);
            assert!(
                !(param.required && param.default != Lit::None),
                "{module}.{}: required with a default",
                param.name
            );
            if let (Lit::Str(text), false) = (param.default, param.choices.is_empty()) {
                assert!(param.choices.contains(&text), "{module}.{}: default is no choice", param.name);
            }
            param.options.iter().for_each(|option| look(module, option));
        }
        for module in MODULES {
            let spec = module.spec();
            assert!(!spec.summary.is_empty(), "{} has no summary", spec.name);
            spec.all_params().filter(|p| !p.name.starts_with('_')).for_each(|param| look(spec.name, param));
        }
    }
}
