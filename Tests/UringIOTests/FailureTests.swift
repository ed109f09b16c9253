// Contract: a process without io_uring learns why in one line, and what to do about it.
import Glibc
import Testing
import UringIO

@Suite struct FailureTests {
  @Test func noDescriptorForARingIsATypedError() async {
    await #expect(processExitsWith: .success) {
      var limit = rlimit(rlim_cur: 0, rlim_max: 0)
      setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
      do throws(RingFailure) {
        _ = try EventLoop()
        exit(2)
      } catch {
        guard error.cause == .descriptorLimit, error.code == EMFILE else { exit(3) }
      }
    }
  }

  @Test(arguments: [
    (ENOSYS, RingFailure.Cause.kernelTooOld, "kernel"),
    (ENOMEM, .memoryLimit, "ulimit -l"),
    (EMFILE, .descriptorLimit, "ulimit -n"),
    (EINVAL, .other, "Invalid argument"),
  ])
  func everyCauseHasItsRemedy(code: Int32, cause: RingFailure.Cause, word: String) {
    let failure = RingFailure(code: code)
    #expect(failure.cause == cause)
    #expect(failure.description.contains(word))
    #expect(!failure.description.contains("\n"))
  }

  @Test func aForbiddenRingNamesTheSysctlOrTheFilter() {
    let failure = RingFailure(code: EPERM)
    #expect([.forbiddenBySysctl, .forbiddenBySeccomp].contains(failure.cause))
    #expect(failure.description.contains("forbidden"))
  }
}
