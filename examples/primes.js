// Prints the primes up to the number given as the first argument (100 without one).
const limit = Number(process.argv[2] ?? 100);
if (!Number.isInteger(limit) || limit < 2 || limit > 10_000_000) {
  console.error("primes.js: give a whole number from 2 to 10,000,000");
  process.exit(1);
}

const composite = new Uint8Array(limit + 1);
const primes = [];
for (let n = 2; n <= limit; n++) {
  if (composite[n]) continue;
  primes.push(n);
  for (let multiple = n * n; multiple <= limit; multiple += n) composite[multiple] = 1;
}
console.log(primes.join(" "));
console.log(`${primes.length} primes up to ${limit}`);
