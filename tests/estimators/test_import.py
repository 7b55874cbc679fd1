"""scikit-learn is needed by the estimators, and by nothing else."""

from tests.support.process import in_new_process


def test_fastfc_does_not_import_it():
    code = "import sys, fastfc, fastfc.fc_net, fastfc.solver; print('sklearn' in sys.modules)"
    assert in_new_process(code) == (0, "False\n")


def test_what_is_missing_is_named():
    code = """if True:
        import sys
        sys.modules["sklearn"] = None
        try:
            import fastfc.estimators
        except ImportError as error:
            print(error)
    """
    status, output = in_new_process(code)
    assert status == 0
    assert "pip install fastfc[sklearn]" in output
