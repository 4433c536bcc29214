// A click on the head of a column sorts the table; the page is complete without it.
document.querySelectorAll('.scroll th').forEach(function (head) {
  head.addEventListener('click', function () {
    var column = head.cellIndex, body = head.closest('table').tBodies[0], up = head.dataset.up !== '1';
    head.dataset.up = up ? '1' : '0';
    Array.from(body.rows).sort(function (p, q) {
      var x = p.cells[column].textContent, y = q.cells[column].textContent, m = parseFloat(x), n = parseFloat(y);
      var order = isNaN(m) || isNaN(n) ? x.localeCompare(y) : m - n;
      return up ? order : -order;
    }).forEach(function (row) { body.appendChild(row); });
  });
});
