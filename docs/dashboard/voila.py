"""Settings of ``make console``: a server for this machine only, behind a token of its own."""

c = get_config()  # noqa: F821

c.Voila.ip = "127.0.0.1"
c.Voila.port_retries = 0
c.Voila.auto_token = True
# Voila opens a browser without the token, which ends at a login page; the address that it prints has it.
c.Voila.open_browser = False
# A page that is left asks for its kernel's end by a beacon, which carries no XSRF token: with the check, every closed
# page would leave a kernel and its live connections behind. A kernel's id cannot be guessed.
c.Voila.tornado_settings = {"disable_check_xsrf": True}
c.VoilaConfiguration.template = "chatkit"
c.VoilaConfiguration.allow_template_override = "NO"
# chatkit's mistakes are sentences; without this Voila would replace them by "There was an error".
c.VoilaConfiguration.show_tracebacks = True
