//! `instructions SCENARIO N` does a scenario's work N times, for scripts/instructions to count under callgrind.
//! Without arguments it names the scenarios, each with the exchanges in one piece of work.

mod scenarios;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.as_slice() {
        [] => {
            scenarios::SCENARIOS.iter().for_each(|scenario| println!("{} {}", scenario.name, scenario.exchanges));
            ExitCode::SUCCESS
        }
        [name, times] => run(name, times),
        _ => refuse("usage: instructions SCENARIO N"),
    }
}

fn run(name: &str, times: &str) -> ExitCode {
    let Some(scenario) = scenarios::SCENARIOS.iter().find(|scenario| scenario.name == name) else {
        return refuse(&format!("no scenario {name}; without arguments all are named"));
    };
    let Ok(times) = times.parse::<u32>() else {
        return refuse(&format!("{times:?} is no number of times"));
    };
    let mut work = (scenario.prepare)();
    (0..times).for_each(|_| work());
    ExitCode::SUCCESS
}

fn refuse(message: &str) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::FAILURE
}
