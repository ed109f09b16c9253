extension Array where Element: BitwiseCopyable {
  /// `withUnsafeBytes` with a typed error.
  func withRawBytes<Value, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    try withUnsafeBufferPointer { (elements) throws(Failure) in
      try body(UnsafeRawBufferPointer(elements))
    }
  }

  /// `withUnsafeMutableBytes` with a typed error.
  mutating func withMutableRawBytes<Value, Failure: Error>(
    _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    try withUnsafeMutableBufferPointer { (elements) throws(Failure) in
      try body(UnsafeMutableRawBufferPointer(elements))
    }
  }
}
