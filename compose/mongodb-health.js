// Healthy is a server that is primary of its replica set. The first check founds the set: the
// image runs its own scripts while the server is not yet started as a member.
if (!db.hello().setName) {
  db.getSiblingDB("admin").auth(
    process.env.MONGO_INITDB_ROOT_USERNAME,
    process.env.MONGO_INITDB_ROOT_PASSWORD,
  );
  // Clients are told this address, so it is the one that reaches the published port.
  rs.initiate({ _id: "elearning", members: [{ _id: 0, host: "127.0.0.1:27017" }] });
}
if (!db.hello().isWritablePrimary) {
  quit(1);
}
