// Runs once on a new server: the application's account, in its own database.
db.createUser({
  user: "elearning_app",
  pwd: process.env.ELEARNING_MONGODB_PASSWORD,
  roles: [{ role: "readWrite", db: db.getName() }],
});
