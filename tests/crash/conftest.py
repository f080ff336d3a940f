"""How often the server is killed, and what the runs counted."""


def pytest_addoption(parser):
    parser.addoption("--kills", type=int, default=200, help="kills under load, over all scenarios (default 200)")
    parser.addoption("--seed", type=int, default=None, help="what the requests and the moments are drawn from")


def pytest_terminal_summary(terminalreporter):
    for report in terminalreporter.getreports("passed"):
        for name, text in report.user_properties:
            if name == "counted":
                terminalreporter.write_line(text)
