mod disk;
mod fixture;
mod life;
