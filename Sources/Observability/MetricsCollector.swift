package import Base

/// One value of a metric that is asked for when metrics are rendered.
package struct MetricSample: Sendable {
  /// In the order of the family's label names.
  package var labels: [String]
  package var value: Double

  package init(_ labels: [String] = [], _ value: Double) {
    self.labels = labels
    self.value = value
  }
}

/// What a metric is called and means.
package struct MetricDescription: Sendable {
  /// With the prefix; counters end in `_total`, times in `_seconds`.
  package var name: String
  package var help: String
  package var labels: [String]

  package init(_ name: String, _ help: String, labels: [String] = []) {
    self.name = name
    self.help = help
    self.labels = labels
  }
}

/// All metrics of a node. Families are registered at start and rendered in that order, in the
/// Prometheus text format 0.0.4.
package final class MetricsCollector {
  package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  private var families: [any MetricFamily] = []
  private var names: Set<String> = []

  package init() {}

  package func counter(_ description: MetricDescription) -> MetricSeries<Counter> {
    add(MetricSeries(description) { Counter() })
  }

  package func gauge(_ description: MetricDescription) -> MetricSeries<Gauge> {
    add(MetricSeries(description) { Gauge() })
  }

  package func histogram(_ description: MetricDescription) -> MetricSeries<DurationHistogram> {
    add(MetricSeries(description) { DurationHistogram() })
  }

  /// A counter whose values are kept elsewhere; `read` is called at every rendering.
  package func counter(_ description: MetricDescription, read: @escaping () -> [MetricSample]) {
    _ = add(PulledMetric(description, kind: "counter", read: read))
  }

  /// A gauge whose values are kept elsewhere; `read` is called at every rendering.
  package func gauge(_ description: MetricDescription, read: @escaping () -> [MetricSample]) {
    _ = add(PulledMetric(description, kind: "gauge", read: read))
  }

  package func render() -> [UInt8] {
    var text = PrometheusText()
    for family in families {
      text.begin(family.description, kind: family.kind)
      family.render(into: &text)
    }
    return text.bytes
  }

  private func add<Family: MetricFamily>(_ family: Family) -> Family {
    let name = family.description.name
    precondition(names.insert(name).inserted, "the metric \(name) is registered twice")
    precondition(
      (family.kind == "counter") == name.hasSuffix("_total"),
      "the metric \(name) is a \(family.kind): counters, and only they, end in _total")
    families.append(family)
    return family
  }
}

protocol MetricFamily: AnyObject {
  var description: MetricDescription { get }
  var kind: String { get }
  func render(into text: inout PrometheusText)
}

/// What a series can be made of.
package protocol MetricValue: AnyObject, Sendable {
  static var metricKind: String { get }
  /// Appends the lines of one series.
  func render(name: String, labels: String, into text: inout PrometheusText)
}

/// A metric with one value for each combination of its labels.
package final class MetricSeries<Value: MetricValue> {
  let description: MetricDescription
  private let make: () -> Value
  private var values: [[String]: Value] = [:]
  /// In the order of their first use.
  private var order: [[String]] = []

  init(_ description: MetricDescription, make: @escaping () -> Value) {
    self.description = description
    self.make = make
    if description.labels.isEmpty { _ = self[] }
  }

  /// The value of these labels, in the order of the description. Beyond
  /// `MetricLimits.seriesMax` combinations all further ones share the series `other`.
  package subscript(_ labels: String...) -> Value { value(labels) }

  package func value(_ labels: [String]) -> Value {
    precondition(labels.count == description.labels.count, "labels of \(description.name)")
    if let value = values[labels] { return value }
    let key =
      order.count < MetricLimits.seriesMax
      ? labels : [String](repeating: MetricLimits.overflowLabel, count: labels.count)
    if let value = values[key] { return value }
    let value = make()
    values[key] = value
    order.append(key)
    return value
  }
}

package enum MetricLimits {
  /// Combinations of labels a family keeps: a bug that puts an id into a label must not fill the
  /// memory, nor what scrapes it.
  package static let seriesMax = 256
  package static let overflowLabel = "other"
}

extension MetricSeries: MetricFamily {
  var kind: String { Value.metricKind }

  func render(into text: inout PrometheusText) {
    for labels in order {
      values[labels]!.render(
        name: description.name,
        labels: PrometheusText.labels(description.labels, labels), into: &text)
    }
  }
}

private final class PulledMetric: MetricFamily {
  let description: MetricDescription
  let kind: String
  private let read: () -> [MetricSample]

  init(_ description: MetricDescription, kind: String, read: @escaping () -> [MetricSample]) {
    self.description = description
    self.kind = kind
    self.read = read
  }

  func render(into text: inout PrometheusText) {
    for sample in read() {
      text.sample(
        description.name, PrometheusText.labels(description.labels, sample.labels), sample.value)
    }
  }
}
