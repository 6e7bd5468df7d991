def costs(verdicts, scenario, options):
    return True
