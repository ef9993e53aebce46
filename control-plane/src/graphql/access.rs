//! Who is let in: enrolment tokens of agents, keys of programs, users and their sessions; and who one is.

use towpath_resource::api::{
    CreatedKey, CreatedToken, KeyOrder, KeyStatus, OwnPasswordOrder, PasswordOrder, RotateOrder,
    SessionStatus, TokenOrder, TokenStatus, UserOrder, UserStatus, WhoAmI,
};
use towpath_resource::{Object, Permission};

use super::operation::Operation;
use super::types::{Answers, Types};
use crate::service::Need;

const KEY: &str = "Its id or name.";
const USER: &str = "Its name.";

/// The operations on who is let in.
pub(super) fn operations(types: &mut Types) -> Vec<Operation> {
    let mut all = of_tokens(types);
    all.extend(of_keys(types));
    all.extend(of_users(types));
    all.extend(of_sessions(types));
    all
}

fn of_tokens(types: &mut Types) -> Vec<Operation> {
    let (read, write) = (Permission::read(Object::EnrolmentToken), Permission::write(Object::EnrolmentToken));
    let (tokens, created) = (types.answers::<TokenStatus>(), types.answer::<CreatedToken>());
    let list = Operation::query(
        "tokens",
        "Enrolment tokens, without their secrets.",
        read,
        tokens,
        |call| async move { Ok(call.service.tokens(call.asker())) },
    );
    let about = "Makes a token with which one agent may enrol at a site. It is shown once.";
    let create = Operation::mutation("createToken", about, write, created, |call| async move {
        let order: TokenOrder = call.order()?;
        call.service.create_token(call.asker(), order).await
    });
    let about = "Takes back a token that was not used.";
    let revoke = Operation::mutation("revokeToken", about, write, Answers::done(), |call| async move {
        call.service.revoke_token(call.asker(), call.text("id")?).await.map(|()| true)
    });
    vec![list, create.takes::<TokenOrder>(types), revoke.text("id", "Its id.")]
}

fn of_keys(types: &mut Types) -> Vec<Operation> {
    let (read, write) = (Permission::read(Object::ApiKey), Permission::write(Object::ApiKey));
    let (keys, key, created) =
        (types.answers::<KeyStatus>(), types.answer::<KeyStatus>(), types.answer::<CreatedKey>());
    let list =
        Operation::query("keys", "Keys of programs, without their secrets.", read, keys, |call| async move {
            call.service.keys(call.asker())
        });
    let show = Operation::query("key", "A key, without its secret.", read, key, |call| async move {
        call.service.key(call.asker(), call.text("id")?)
    });
    let about = "Makes a key with which a program uses the API. It is shown once.";
    let create = Operation::mutation("createKey", about, write, created.clone(), |call| async move {
        let order: KeyOrder = call.order()?;
        call.service.create_key(call.asker(), order).await
    });
    let about = "Gives a key a new secret, which is shown once. The one before is taken for a while longer.";
    let rotate = Operation::mutation("rotateKey", about, write, created, |call| async move {
        let order: RotateOrder = call.order()?;
        call.service.rotate_key(call.asker(), call.text("id")?, order).await
    });
    let about = "Takes a key back, at once and for good.";
    let revoke = Operation::mutation("revokeKey", about, write, Answers::done(), |call| async move {
        call.service.revoke_key(call.asker(), call.text("id")?).await.map(|()| true)
    });
    let about = "Takes the first admin's token back. A new one is made on the control plane's machine alone.";
    let first = Operation::mutation("revokeAdminToken", about, write, Answers::done(), |call| async move {
        call.service.revoke_admin_token(call.asker()).await.map(|()| true)
    });
    vec![
        list,
        show.text("id", KEY),
        create.takes::<KeyOrder>(types),
        rotate.text("id", KEY).takes::<RotateOrder>(types),
        revoke.text("id", KEY),
        first,
    ]
}

fn of_users(types: &mut Types) -> Vec<Operation> {
    let (read, write) = (Permission::read(Object::User), Permission::write(Object::User));
    let (users, user) = (types.answers::<UserStatus>(), types.answer::<UserStatus>());
    let list = Operation::query("users", "Users with a password.", read, users, |call| async move {
        call.service.users(call.asker())
    });
    let show = Operation::query("user", "A user with a password.", read, user.clone(), |call| async move {
        call.service.user(call.asker(), call.text("name")?)
    });
    let about = "Makes a user with a password. Role bindings say what the user may do.";
    let create = Operation::mutation("createUser", about, write, user, |call| async move {
        let order: UserOrder = call.order()?;
        call.service.create_user(call.asker(), order).await
    });
    let about = "Sets a user's password. All of the user's sessions end.";
    let password = Operation::mutation("setPassword", about, write, Answers::done(), |call| async move {
        let order: PasswordOrder = call.order()?;
        call.service.set_password(call.asker(), call.text("name")?, order).await.map(|()| true)
    });
    let about = "Deletes a user. All of the user's sessions end at once.";
    let delete = Operation::mutation("deleteUser", about, write, Answers::done(), |call| async move {
        call.service.delete_user(call.asker(), call.text("name")?).await.map(|()| true)
    });
    vec![
        list,
        show.text("name", USER),
        create.takes::<UserOrder>(types),
        password.text("name", USER).takes::<PasswordOrder>(types),
        delete.text("name", USER),
    ]
}

fn of_sessions(types: &mut Types) -> Vec<Operation> {
    let (read, write) = (Permission::read(Object::Session), Permission::write(Object::Session));
    let (who, sessions) = (types.answer::<WhoAmI>(), types.answers::<SessionStatus>());
    let whoami = Operation::query("whoami", "Who asks.", Need::ToBeKnown, who, |call| async move {
        Ok(call.service.whoami(call.asker()))
    });
    let list = Operation::query("sessions", "Open sessions.", read, sessions, |call| async move {
        call.service.sessions(call.asker())
    });
    let about = "Closes a session, at once.";
    let close = Operation::mutation("closeSession", about, write, Answers::done(), |call| async move {
        call.service.close_session(call.asker(), call.text("id")?).await.map(|()| true)
    });
    let about = "Closes the session that asks.";
    let logout = Operation::mutation("logout", about, Need::ToBeKnown, Answers::done(), |call| async move {
        call.service.logout(call.asker()).await.map(|()| true)
    });
    let about = "Sets the password of the user who asks. All of the user's sessions end.";
    let password =
        Operation::mutation("setOwnPassword", about, Need::ToBeKnown, Answers::done(), |call| async move {
            let order: OwnPasswordOrder = call.order()?;
            call.service.set_own_password(call.asker(), order).await.map(|()| true)
        });
    vec![whoami, list, close.text("id", "Its id."), logout, password.takes::<OwnPasswordOrder>(types)]
}
