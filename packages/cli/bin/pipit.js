#!/usr/bin/env node
// Looks at the runtime before anything is imported that an old one cannot parse.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  console.error(`pipit needs Node 22.18 or newer; this is ${process.version}`);
  process.exit(1);
}
await import('../dist/index.js');
