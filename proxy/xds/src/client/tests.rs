mod anything;
mod model;
mod peer;
mod rules;
mod warming;
