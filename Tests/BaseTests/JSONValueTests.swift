// Contract: an object keeps its members in order and each name once; equality ignores the order,
// and equal values have equal hashes.
import Base
import Testing

@Suite struct JSONValueTests {
  @Test func membersKeepTheirPlace() {
    var object: JSONObject = ["a": 1, "b": 2, "c": 3]
    object["b"] = 5
    object["d"] = nil
    object["a"] = nil
    object["a"] = 6
    #expect(object.names == ["b", "c", "a"])
    #expect(object["b"] == 5)
  }

  @Test func orderDoesNotCount() {
    let one: JSONObject = ["a": 1, "b": [2]]
    let other: JSONObject = ["b": [2], "a": 1]
    #expect(one == other)
    #expect(one.hashValue == other.hashValue)
    #expect(one != ["a": 1])
    #expect(one != ["a": 1, "c": [2]])
  }

  @Test func accessorsFitTheirTypeOnly() {
    #expect(JSON.double(3).int == 3)
    #expect(JSON.double(3.5).int == nil)
    #expect(JSON.double(1e300).int == nil)
    #expect(JSON.int(3).number == 3)
    #expect(JSON.string("3").int == nil)
    #expect(JSON.null.isNull)
    #expect((["a": true] as JSON)["a"]?.bool == true)
    #expect((["a"] as JSON)["a"] == nil)
    #expect(
      ([nil, true, 1, 1.5, "", [], [:]] as [JSON]).map(\.typeName)
        == ["null", "boolean", "integer", "number", "string", "array", "object"])
  }
}
