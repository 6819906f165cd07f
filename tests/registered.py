"""The app's functions, as the worker asks for them: an app answers that once only."""

import function_app

FUNCTIONS = {str(one.get_function_name()): one for one in function_app.app.get_functions()}
