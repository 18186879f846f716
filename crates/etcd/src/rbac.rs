//! etcd's own users, roles and permissions, and the switch that turns them on.
//!
//! Calls are idempotent where etcd's answers allow it: what exists already, or is gone already, is [`Done::Already`].
//! Turning auth on in the wrong order locks everybody out: create `root`, grant it the role `root`, log in as
//! `root` once, then [`MemberClient::auth_enable`].

use tonic::codegen::http::uri::PathAndQuery;
use zeroize::Zeroizing;

pub use etcd_client::{Permission, PermissionType};

use crate::client::MemberClient;
use crate::error::{Answer, EtcdError};
use crate::ops::{Done, done_if};

/// Whether auth is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// Requests need a user.
    Enabled,
    /// Everybody may do everything.
    Disabled,
}

/// `AuthStatus`, which the client library does not have.
#[derive(Clone, PartialEq, prost::Message)]
struct AuthStatusRequest {}

/// Only the field that matters; field 1 is the header, field 3 the revision.
#[derive(Clone, PartialEq, prost::Message)]
struct AuthStatusResponse {
    #[prost(bool, tag = "2")]
    enabled: bool,
}

impl MemberClient {
    /// Whether auth is on. Works with and without a login, on every release.
    pub async fn auth_status(&self) -> Result<Auth, EtcdError> {
        match self.ask_auth_status().await {
            Ok(true) => Ok(Auth::Enabled),
            Ok(false) => Ok(Auth::Disabled),
            // Refused for want of rights: so there are rights.
            Err(EtcdError::Says {
                answer:
                    Answer::UserNameEmpty | Answer::UserNotFound | Answer::PermissionDenied | Answer::InvalidToken,
            }) => Ok(Auth::Enabled),
            Err(error) if error.is_unimplemented() => self.auth_status_by_login().await,
            Err(error) => Err(error),
        }
    }

    async fn ask_auth_status(&self) -> Result<bool, EtcdError> {
        let address = self.endpoint().address();
        let call = "AuthStatus";
        let mut grpc = tonic::client::Grpc::new(self.channel());
        let request = async {
            grpc.ready().await.map_err(etcd_client::Error::TransportError)?;
            let path = PathAndQuery::from_static("/etcdserverpb.Auth/AuthStatus");
            let codec: tonic_prost::ProstCodec<AuthStatusRequest, AuthStatusResponse> =
                tonic_prost::ProstCodec::default();
            let answer = grpc.unary(tonic::Request::new(AuthStatusRequest {}), path, codec).await;
            answer.map_err(etcd_client::Error::GRpcStatus)
        };
        match tokio::time::timeout(self.deadlines().status, request).await {
            Ok(Ok(answer)) => Ok(answer.into_inner().enabled),
            Ok(Err(error)) => Err(EtcdError::from_client(call, address, &error)),
            Err(_elapsed) => Err(EtcdError::Unknown { call, why: "no answer".to_owned() }),
        }
    }

    /// For releases without AuthStatus: a login nobody has fails differently with auth on and off.
    async fn auth_status_by_login(&self) -> Result<Auth, EtcdError> {
        let mut auth = self.raw().auth_client();
        let login = auth.authenticate("quorate-asks-whether-auth-is-on".to_owned(), "-".to_owned());
        match self.call("Authenticate", self.deadlines().read, login).await {
            Err(error) if error.says(&Answer::AuthNotEnabled) => Ok(Auth::Disabled),
            Ok(_) => Ok(Auth::Enabled),
            Err(error) if error.answer().is_some() => Ok(Auth::Enabled),
            Err(error) => Err(error),
        }
    }

    /// Proves a login without using it for anything.
    pub async fn authenticate(&self, user: &str, password: &Zeroizing<String>) -> Result<(), EtcdError> {
        let mut auth = self.raw().auth_client();
        let login = auth.authenticate(user.to_owned(), password.as_str().to_owned());
        self.call("Authenticate", self.deadlines().write, login).await.map(drop)
    }

    /// Turns auth on. Needs the user `root` with the role `root`.
    pub async fn auth_enable(&self) -> Result<(), EtcdError> {
        let mut client = self.raw();
        self.call("AuthEnable", self.deadlines().write, client.auth_enable()).await.map(drop)
    }

    /// Turns auth off. Needs `root`.
    pub async fn auth_disable(&self) -> Result<(), EtcdError> {
        let mut client = self.raw();
        self.call("AuthDisable", self.deadlines().write, client.auth_disable()).await.map(drop)
    }

    /// All users.
    pub async fn users(&self) -> Result<Vec<String>, EtcdError> {
        let mut client = self.raw();
        let answer = self.call("UserList", self.deadlines().write, client.user_list()).await?;
        Ok(answer.users().to_vec())
    }

    /// A user's roles, or nothing if there is no such user.
    pub async fn user(&self, name: &str) -> Result<Option<Vec<String>>, EtcdError> {
        let mut client = self.raw();
        match self.call("UserGet", self.deadlines().write, client.user_get(name)).await {
            Ok(answer) => Ok(Some(answer.roles().to_vec())),
            Err(error) if error.says(&Answer::UserNotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates a user; without a password it can only log in by certificate. An existing one stays as it is.
    pub async fn user_add(
        &self,
        name: &str,
        password: Option<&Zeroizing<String>>,
    ) -> Result<Done, EtcdError> {
        let mut client = self.raw();
        let options = password.is_none().then(|| etcd_client::UserAddOptions::new().with_no_pwd());
        let add = client.user_add(name, password.map_or("", |secret| secret.as_str()), options);
        done_if(self.call("UserAdd", self.deadlines().write, add).await, &Answer::UserExists)
    }

    /// Deletes a user.
    pub async fn user_delete(&self, name: &str) -> Result<Done, EtcdError> {
        let mut client = self.raw();
        let delete = client.user_delete(name);
        done_if(self.call("UserDelete", self.deadlines().write, delete).await, &Answer::UserNotFound)
    }

    /// Sets a password.
    pub async fn user_password(&self, name: &str, password: &Zeroizing<String>) -> Result<(), EtcdError> {
        let mut client = self.raw();
        let change = client.user_change_password(name, password.as_str());
        self.call("UserChangePassword", self.deadlines().write, change).await.map(drop)
    }

    /// Gives a user a role.
    pub async fn user_grant(&self, name: &str, role: &str) -> Result<Done, EtcdError> {
        if self.user(name).await?.is_some_and(|roles| roles.iter().any(|has| has == role)) {
            return Ok(Done::Already);
        }
        let mut client = self.raw();
        let grant = client.user_grant_role(name, role);
        self.call("UserGrantRole", self.deadlines().write, grant).await.map(|_| Done::Now)
    }

    /// Takes a role from a user.
    pub async fn user_revoke(&self, name: &str, role: &str) -> Result<Done, EtcdError> {
        let mut client = self.raw();
        let revoke = client.user_revoke_role(name, role);
        done_if(self.call("UserRevokeRole", self.deadlines().write, revoke).await, &Answer::RoleNotGranted)
    }

    /// All roles.
    pub async fn roles(&self) -> Result<Vec<String>, EtcdError> {
        let mut client = self.raw();
        let answer = self.call("RoleList", self.deadlines().write, client.role_list()).await?;
        Ok(answer.roles().to_vec())
    }

    /// A role's permissions, or nothing if there is no such role.
    pub async fn role(&self, name: &str) -> Result<Option<Vec<Permission>>, EtcdError> {
        let mut client = self.raw();
        match self.call("RoleGet", self.deadlines().write, client.role_get(name)).await {
            Ok(answer) => Ok(Some(answer.permissions())),
            Err(error) if error.says(&Answer::RoleNotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates a role.
    pub async fn role_add(&self, name: &str) -> Result<Done, EtcdError> {
        let mut client = self.raw();
        let add = client.role_add(name);
        done_if(self.call("RoleAdd", self.deadlines().write, add).await, &Answer::RoleExists)
    }

    /// Deletes a role.
    pub async fn role_delete(&self, name: &str) -> Result<Done, EtcdError> {
        let mut client = self.raw();
        let delete = client.role_delete(name);
        done_if(self.call("RoleDelete", self.deadlines().write, delete).await, &Answer::RoleNotFound)
    }

    /// Lets a role read or write keys.
    pub async fn role_permit(&self, name: &str, permission: Permission) -> Result<(), EtcdError> {
        let mut client = self.raw();
        let permit = client.role_grant_permission(name, permission);
        self.call("RoleGrantPermission", self.deadlines().write, permit).await.map(drop)
    }

    /// Takes a permission back. It is named by its exact key and range end.
    pub async fn role_forbid(&self, name: &str, key: &[u8], range_end: &[u8]) -> Result<Done, EtcdError> {
        let mut client = self.raw();
        let options = (!range_end.is_empty())
            .then(|| etcd_client::RoleRevokePermissionOptions::new().with_range_end(range_end));
        let forbid = client.role_revoke_permission(name, key, options);
        let result = self.call("RoleRevokePermission", self.deadlines().write, forbid).await;
        done_if(result, &Answer::PermissionNotGranted)
    }
}
