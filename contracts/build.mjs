// Compiles the contracts in this folder and writes ABI and bytecode, one JSON file a contract.
// Usage: node build.mjs [OUTPUT_FOLDER]; SWARM_LAB_NODE_MODULES names another node_modules folder.
import { createRequire } from 'node:module';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const modules = process.env.SWARM_LAB_NODE_MODULES ?? path.join(here, 'node_modules');
const output = process.argv[2] ?? path.join(here, '..', 'swarm_lab', 'ledger', 'abi');
const solc = createRequire(path.join(modules, 'solc', 'package.json'))('solc');

const wanted = ['Enrolment', 'Trainings', 'Rounds'];
const files = fs.readdirSync(here).filter((name) => name.endsWith('.sol')).sort();
const input = {
  language: 'Solidity',
  sources: Object.fromEntries(files.map((name) => [name, { content: fs.readFileSync(path.join(here, name), 'utf8') }])),
  settings: {
    optimizer: { enabled: true, runs: 200 },
    evmVersion: 'paris', // no opcode that a Clique chain lacks
    // Without it the bytecode ends in a hash over paths and comments: it would differ from one folder to another.
    metadata: { bytecodeHash: 'none', appendCBOR: false },
    outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } },
  },
};

const read = (name) => ({ contents: fs.readFileSync(path.join(modules, name), 'utf8') });
const result = JSON.parse(solc.compile(JSON.stringify(input), { import: read }));
// A warning in a file of ours is an error; those of the library are its own.
const errors = (result.errors ?? []).filter((e) => e.severity === 'error' || files.includes(e.sourceLocation?.file));
for (const error of errors) console.error(error.formattedMessage);
if (errors.length) process.exit(1);

fs.mkdirSync(output, { recursive: true });
for (const name of wanted) {
  const { abi, evm } = result.contracts[`${name}.sol`][name];
  const artifact = { contract: name, compiler: solc.version(), abi, bytecode: `0x${evm.bytecode.object}` };
  fs.writeFileSync(path.join(output, `${name}.json`), `${JSON.stringify(artifact, null, 1)}\n`);
  console.log(`${name}: ${evm.bytecode.object.length / 2} bytes`);
}
