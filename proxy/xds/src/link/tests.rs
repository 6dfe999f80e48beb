mod disk;
mod fixture;
mod life;
mod tls;
