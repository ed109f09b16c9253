import UringIO

extension EventLoop: LogLoop {}
