"""Long random request sequences, answered by MLMD's C++ engine and by headwater, compared."""
