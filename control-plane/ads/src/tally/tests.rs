mod counting;
mod proxy;
mod round;
