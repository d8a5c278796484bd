// CommonJS: its cluster worker misses its first message while an ES module is still loading
const { ClusterWorker } = require('poolifier')

module.exports = new ClusterWorker((value) => value)
