// SPDX-License-Identifier: MIT
/*
 * redistribute-client.cjs -- the same client for require().
 *
 * Node cannot require() an ES module before version 22, and a copy would be a
 * second client with faults of its own.  So this file compiles the text of
 * redistribute-client.js as a CommonJS module, after exchanging its last
 * statement, the export.  File name and line numbers stay the same in stack
 * traces and debuggers.
 *
 * Only Node comes here: browsers and bundlers are given the ES module.
 */
'use strict'

const { readFileSync } = require('node:fs')
const Module = require('node:module')
const path = require('node:path')

const EXPORT = /^export \{ RedistributeClient as default, (.+) \}$/m

const file = path.join(__dirname, 'redistribute-client.js')
const source = readFileSync(file, 'utf8')
if (!EXPORT.test(source)) throw new Error(`${file}: its export is not the expected one`)

const core = new Module(file, module)
core.filename = file
core.paths = module.paths
core._compile(`'use strict';${source.replace(EXPORT, 'module.exports = { $1 }')}`, file)

// What is exported is the client itself, so that require(...)({ targets })
// works; its companions are properties of it.
module.exports = Object.assign(core.exports.RedistributeClient, core.exports)
module.exports.default = core.exports.RedistributeClient
