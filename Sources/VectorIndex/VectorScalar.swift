/// What a component of an input vector may be. Every kind is compared as Float32.
public protocol VectorScalar: BitwiseCopyable, Sendable {
  var floatValue: Float { get }
}

extension Float: VectorScalar {
  public var floatValue: Float { self }
}

#if !(os(macOS) && arch(x86_64))
  extension Float16: VectorScalar {
    public var floatValue: Float { Float(self) }
  }
#endif

extension Int8: VectorScalar {
  public var floatValue: Float { Float(self) }
}

extension UInt8: VectorScalar {
  public var floatValue: Float { Float(self) }
}
