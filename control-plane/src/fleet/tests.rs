mod book;
mod counting;
mod following;
mod replica;
