"""Expository templates of the demo corpus: nature, work, numbers, computers, and recipes of all kinds.

A topic has a weight, several first sentences and a list of further sentences, of which a text takes some.
The subjects of the toy set (ratios, spirals, adapters, checkpoints) appear here as plain prose, so that the
base model knows the words while it has never seen a question with its answer.
"""

# One template is one sentence and one line, however many branches it has.
# ruff: noqa: E501

from __future__ import annotations

RULES: dict[str, str] = {
    "often": """
often
usually
in most cases
sometimes
as a rule
""",
    "so": """
{For this reason|Therefore|That is why|Because of this}
""",
    "also": """
{Also|Besides|In addition|What is more}
""",
    "but": """
{However|But|Even so|On the other hand}
""",
    "people": """
{people|many people|most people|some people}
""",
    "trainer": """
{a person|a programmer|a student|a teacher|somebody|a scientist}
""",
}

_TEXT = """
# 5
The <a> {is an animal that lives <a.home>|lives <a.home>|can <often> be found <a.home>}.
<as> {live <a.home>|are animals that many people know|are common in some countries}, {and they are easy to recognise|and children like to watch them|but few people have seen one from close by}.
Among the animals that live <a.home>, the <a> is {well known|one of the most interesting|easy to recognise}.
- It {has|is known for} <a.body>, {and its eyes and ears are good|which helps it to survive|and this makes it easy to recognise}.
- It {eats|feeds on|looks for} <a.food>, {mostly in the <daypart>|especially in <season1>|and it needs water as well}.
- A <a> <a.does>{, and nobody has to teach it how|, at least when the weather is fine|}.
- In <season1>, {food is easy to find|the young are born|it is seen less often|it looks for a safe place to rest}.
- The young {stay with their mother for <count> weeks|learn by watching|are small and helpless at first|grow quickly}.
- The <a2>, {by comparison|on the other hand|which is quite different}, lives <a2.home> and eats <a2.food>.
- When {danger is near|a person comes too close|it hears a noise}, it {hides|stands still|moves away quickly|warns the others}.
- <people> {like the <a>, which has <a.body>|have told stories about <as>|think that <as> are clever}.
- Scientists {have counted|watch|study} <as> {for many years|with small cameras|to learn how they live}.
- {Both the <a> and the <a2>|<as> and <a2s>} {are part of the same living world|play a part in nature|need clean water and a quiet place}.
# 3
The <p> {is a plant that grows <p.where>|grows <p.where>|can be found <p.where>}.
<ps> grow <p.where>, {and nearly everyone has seen one|where they find what they need|and gardeners like them}.
- {It is known that|Gardeners know that|A careful observer sees that} <p.fact>.
- It flowers or ripens <p.when>, {depending on the weather|if there is enough sun|and bees come from far away}.
- {Like all green plants, it|It} needs light, water and {good|some} soil.
- Its roots {hold it firmly in the ground|take up water|reach deep into the soil}.
- Its leaves {turn toward the light|grow around the stem in a spiral|catch the light of the sun|fall in autumn or dry up}.
- In {a dry|a wet|a cold} year, it grows {more slowly|less well|later than usual}.
- <as> {visit it for food|sit under its leaves when it is hot|do it no harm}.
- The <p2>, which grows <p2.where>, is different: <p2.fact>.
- <people> plant it {near the house|for its beauty|for food|in long rows}.
- A seed {may rest in the soil for months|is a small plant with its own food|can be carried away by the wind or by an animal}.
- {The number of petals is <often> 3, 5, 8 or 13|The leaves follow each other at the golden angle|Its seeds sit in spirals}, {and people have wondered why|which gives each leaf its share of light}.
# 3
A <t> is {a tool|a thing|something} {used to <t.use>|with which one can <t.use>|that helps people to <t.use>}.
<ts> are used to <t.use>, and {every house has one|they are very old inventions|a good one lasts for years}.
- It is {made of <t.of>|<often> made of <t.of>|built from <t.of>}{, and its handle is smooth|, which makes it strong|}.
- {Before the <t> was known|Long ago}, <people> had to {work with their hands|use a stone or a stick|find another way}.
- A good <t> {costs more, but it lasts longer|fits well in the hand|should be kept dry and clean}.
- {After use|In the evening|Once a month}, it should be {cleaned|dried|checked|put back in its place}.
- A <t2> is different: it is used to <t2.use>.
- Both the <t> and the <t2> {belong in a good workshop|are found in most homes|are simple but useful}.
- <js> use {many tools|it nearly every day|<j.with> as well}, since they <j.do>.
- {A child should not use it alone|It must be used with care|One should first learn how to hold it}.
- In <year>, a <j> in <town> {made a better one|sold <rows> of them|changed its shape}.
# 3
<js> {are people who <j.do>|<j.do>|have an important task: they <j.do>}.
A <j> works <j.where> {every day|with <j.with>|from morning to evening}.
- They work <j.where>, {often before the sun is up|in summer and in winter|and they know every corner of it}.
- For their work, they need <j.with>{ and a lot of patience| and strong arms| and a clear head|}.
- {It takes|One needs} <n1> years to learn {this work|it well}, and {a good teacher helps|nobody learns it from books alone}.
- {The pay is not high|The work is hard}, but {people respect them|most of them would not want another job}.
- In <town1>, there {are <n2> of them|is only one of them|used to be many of them}.
- One of them, {called <hN>|<hN>}, has worked there for <double> years and {still likes it|knows everyone|teaches the young ones}.
- {Machines do part of the work today|Computers have changed this work|New tools have made it easier}, but {experience still counts|the eye of a person is still needed}.
- Without them, {life in the town would be harder|many things would not work|we would miss a great deal}.
# 2
<town1> is a {small town|quiet village|lively town|port} {near <there>|between the hills and the sea|on a wide river|in a green valley}.
The {town|village} of <town1> lies {in a valley|by the sea|at the foot of a hill|on both sides of a river}.
- It has <dproduct> houses, {a school and a library|<n1> bakeries and a market|an old mill and a church}.
- {Every <day1>|In <season1>}, there is a market, and {farmers sell <food> and <food>|people come from all around}.
- <inside>, <seen>.
- The oldest building was built in <year>, {and its walls are thick|and it still stands|when the town was much smaller}.
- {Most people there are <js>|Many people work <j.where>|Some of the people are <js>}, and they <j.do>.
- In <season>, {the streets are full of visitors|the town is quiet|snow covers the roofs|fog comes up from the water}.
- The road to <town> {is narrow|leads through the woods|follows the river}, and {a bus goes there <n2> times a day|most people walk}.
- A visitor should {see <there>|try the <dish1>|walk along the river in the evening}.
- {Old people say that|It is said that} {nothing ever changes there|the bells once rang by themselves|a <a> lives under the bridge}.
# 2
<weather1>, and <effect1>.
Weather {changes from day to day|is made by sun, air and water|is something everyone talks about}.
- Rain falls when {clouds are cooled|drops in a cloud become too heavy|warm wet air rises}.
- Wind is air that moves {from a place of high pressure to a place of low pressure|because some places are warmer than others}.
- Snow is made of {small crystals of ice|ice crystals with six arms}, and {no two look quite the same|it melts when it grows warm}.
- Fog is {a cloud that lies on the ground|made of tiny drops of water}.
- The sun {warms the land faster than the sea|rises in the east and sets in the west|gives light and heat}.
- In <season>, the days are {long|short|sometimes warm and sometimes cold}.
- Farmers {watch the sky|listen to the forecast|know the signs}, because {too much rain is bad for the grain|hay must be dry}.
- A thermometer {measures heat|shows how warm it is}, and a barometer {measures the pressure of the air|tells if a storm is coming}.
- {When swallows fly low|When the sky is red in the morning}, <people> expect rain.
- Water {goes up as vapour and comes down as rain|freezes at zero degrees|boils at one hundred degrees}, {again and again|as everyone knows}.
# 2
<material> and <material> are {materials with many uses|found in almost every house|useful in different ways}.
{Many things around us are made of|A house needs} {wood|stone|glass|iron}, {and each material has its own nature|but why is one chosen and not another}.
- Wood {floats, burns and is easy to cut|comes from trees|is warm to the touch}.
- Stone {is hard and heavy|lasts for hundreds of years|stays cool in summer}.
- Glass {is made from sand|lets the light through|breaks easily}.
- Iron {is strong, but it rusts|becomes soft in great heat|is used for tools and bridges}.
- Wool {comes from sheep|keeps people warm|can be spun into thread}.
- Paper {is made from wood|was once made from old cloth|keeps words for a long time}.
- Clay {is soft when it is wet and hard when it is burned|can be shaped by hand}.
- Copper {carries electricity well|is used for wires and kettles|turns green in the rain}.
- Leather {comes from the skin of animals|must be kept soft with oil}.
- Plastic {is light and cheap|does not rot|is made from oil}.
- A <t>, for example, is made of <t.of>.
# 3
{To add <n1> and <n2>|If we add <n1> and <n2>}, we {can count on our fingers|can use small stones|start at <n1> and count <n2> steps}: the sum is <sum>.
Numbers {help us to count and to measure|are used every day|are older than writing}.
A row of numbers can follow a simple rule.
- <n1> plus <n2> is <sum>{, and <n2> plus <n1> is <sum> as well|}.
- <n1> times <n2> is <product>.
- <big> minus <small> is <diff>.
- In figures, <d1> + <d2> = <dsum> and <d1> x <d2> = <dproduct>.
- If <hN> has <big> {apples|nuts|coins|stamps} and gives away <small>, {then <diff> are left|<he> keeps <diff>}.
- The row <sequence> {goes up by <step> each time|grows by <step> at every step}, so the next number is <next>.
- Twice <half> is <double>, and half of <double> is <half>.
- {An even number can be divided by two|The numbers 2, 4, 6, 8 and 10 are even}, {but an odd number cannot|and the numbers between them are odd}.
- A prime number {has no divisors but one and itself|such as 7 or 13 cannot be divided evenly}; the first primes are 2, 3, 5, 7, 11 and 13.
- A square number is a number times itself, {such as 4, 9, 16 or 25|for example five times five, which is 25}.
- Zero {means that there is nothing to count|is a late invention}, and {it changes nothing when it is added|any number times zero is zero}.
- A percent is {one part in a hundred|a hundredth}, so fifty percent is one half.
- The average of <n1> and <n1> is <n1>.
- The ratio of two numbers is {one divided by the other|found by division}; the ratio of <double> to <half> is two.
- A square root {undoes a square|is the number that gives the square}: the square root of 25 is 5, and the square root of 5 is about 2.236.
# 5
The Fibonacci numbers {are a row of numbers that begins with 0 and 1|begin with 0, 1, 1, 2, 3, 5, 8 and 13|form a sequence with a simple rule}.
In the Fibonacci sequence, {each number is the sum of the two numbers before it|every number after the first two is the sum of the two before}.
{A famous row of numbers|The sequence of Leonardo of Pisa} {goes|runs} 0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144{ and so on| and never ends|}.
- The row so far is <frow>, and the next number is <fd>, because <fb> plus <fc> is <fd>.
- {For example|So}, <fa> + <fb> = <fc>{, and then <fb> + <fc> = <fd>|}.
- After <fa> and <fb> comes <fc>, {and after <fc> comes <fd>|which is their sum}.
- The ratio of <fc> to <fb> is about <ratio>.
- The ratio of {two neighbours|each number to the one before it} comes {closer and closer to the golden ratio|near to 1.618}.
- {Leonardo of Pisa, called Fibonacci,|Fibonacci, who lived in Pisa,} {wrote about them in the year 1202|used them to count rabbits|described them in a book about numbers}.
- In his {story|example}, a pair of rabbits {has a new pair every month|brings a new pair into the world each month}.
- {Many flowers have|A daisy may have|Some flowers have} 21, 34 or 55 petals, which are Fibonacci numbers.
- The seeds of a sunflower form {spirals|two sets of spirals}, <often> 34 in one direction and 55 in the other.
- A {pine cone|pineapple} has 8 spirals one way and 13 the other way.
- {The twelfth Fibonacci number is 144, which is also twelve times twelve|The tenth number is 55 and the twelfth is 144}.
- {Every third number is even|Of three neighbours, one is always even}.
- {They are easy to compute|A short program can print them}: one adds the last two numbers and writes down the sum.
- Fibonacci numbers {can be used as steps|grow quickly}: {first 1, then 2, then 3, then 5, and then 8|small ones first and larger ones later}.
# 5
The golden ratio {is a number that is close to 1.618|is written with the Greek letter phi|is about 1.618034}.
{Phi is|The number phi is} {the golden ratio|one plus the square root of five, divided by two|equal to 1.618034 and a little more}.
{If a line is divided|When a line is cut} so that the whole is to the larger part as the larger part is to the smaller one, {it is divided in the golden ratio|the ratio is phi}.
- {Its value is|It is equal to} (1 + sqrt 5) / 2, which is about 1.618034.
- One divided by phi is about 0.618, which is phi minus one.
- The square of phi is about 2.618, {which is phi plus one|that is, one more than phi itself}.
- Phi to the power of minus three is about 0.2361.
- {The larger part is 61.8 percent of the whole|The parts are 61.8 and 38.2 percent}, {and the smaller part is 38.2 percent|and together they make one hundred percent}.
- It is an irrational number, {so it cannot be written as a fraction of whole numbers|so its digits never repeat}.
- {The ratio of neighbouring Fibonacci numbers|The Fibonacci sequence} {comes close to it|leads to it step by step}: 8 / 5 is 1.6, 13 / 8 is 1.625, and 21 / 13 is about 1.615.
- A golden rectangle {has sides in the golden ratio|can be cut into a square and a smaller golden rectangle}.
- A golden spiral {grows by the factor phi with every quarter turn|becomes wider by phi at each quarter turn}.
- The golden angle is about 137.5 degrees, {and many leaves follow it|which is found between the leaves of some plants}.
- In a regular pentagon, {the diagonal and the side are in the golden ratio|the ratio of a diagonal to a side is phi}.
- {Painters and builders have used it|It is found in pictures and buildings|Some say it is beautiful}, {although not all such stories are true|but people do not agree about this}.
- Euclid {described it|wrote about it} about 300 years before our time.
- A tenth of one divided by phi is 0.0618, {which is a small number|and some programs use it as a share}.
# 3
A computer {is a machine that follows instructions|works with numbers, texts and pictures|does what a program tells it to do}.
A terminal is {a window in which one types commands|a place where a person and a computer exchange lines of text}.
A file {keeps data under a name|is stored on a disk}, and a folder {keeps files together|can hold files and other folders}.
- A program is {a list of instructions|a text that a computer can follow}, written by {a programmer|people}.
- The memory {holds what the computer is working on|is fast but forgets everything without power}, {and|while} the disk keeps files for years.
- {In a terminal|On the command line}, {one types a command and presses the enter key|the arrow keys move through a list|the answer appears as text}.
- The keyboard {sends letters to the program|is often faster than the mouse}.
- A text file {can be opened with an editor|is a row of characters}, and a table {has rows and columns|keeps one record in each row}.
- {It is wise to|One should} {make a copy of important files|give files clear names|keep a backup on another disk}.
- A journal {is a file to which each event is added at the end|records what happened and when}, so that nothing is lost {after a crash|when the power goes out}.
- {An error message|A log} {tells what went wrong|should be read from top to bottom}.
- A bug is {a mistake in a program|an error that a programmer has made}, and {testing helps to find it|the best programmers make some}.
- {Settings are kept in|A project can be described in} a small text file {in the format TOML|with names and values}, which {people and programs can read|can be used again later}.
- To replay something is to {run it again from its record|repeat it with the same settings}.
- A command may have options, {such as --help or --replay|which are written after two dashes}, {and they change what it does|and the help lists them all}.
- The name of a folder is {<often> written with a slash at the end, as in data/ or runs/|best kept short}.
- A table can be saved as {CSV or JSON|a JSON file with one record on each line}, and {most programs can read it|it can be opened later}.
- A library of code {saves much work|is used by many programs}.
- A graph on the screen {shows how a number changes over time|can be drawn with small characters}.
# 6
A language model {is a program that guesses the next word|learns from text which word comes next|gives each possible next word a probability}.
To train a model {is to change its numbers step by step|means to show it many examples}, {until its guesses become better|so that it makes fewer mistakes}.
{Training|The training of a model} {begins with data|takes time and patience|is a search for good numbers}.
- The loss {tells how wrong the model is|is a number that should fall}, {and it is computed at every step|and a low loss means better guesses}.
- At first the loss was <loss1>; after <steps> steps it was <loss2>.
- The perplexity {is the exponential of the loss|says between how many words the model hesitates}, {so it falls when the loss falls|and a lower perplexity is better}.
- The learning rate {decides how large each step is|sets the size of the steps}; {if it is too high, the loss jumps|if it is too low, the training is slow}.
- During warm-up, the learning rate {rises slowly from zero|grows a little at each step}, {so that the first steps are small|because early steps can do harm}.
- After that it {falls along a cosine curve|goes down again}, {until it is close to zero at the end|slowly at first}.
- A batch is {a group of examples|a small set of rows} that the model sees in one step.
- {One epoch is one pass over all the data|In one epoch, the model sees every row once}, and {training <often> takes several epochs|after <epochs> epochs it stopped}.
- {A checkpoint|Each checkpoint} is {a saved state of the training|a copy of the work so far}, {from which it can go on later|so that a crash does no great harm}.
- A part of the data is {held out|kept apart} {to test the model|for validation|and never used for training}.
- {The rows are split at random|The data are split}, {61.8 percent for training and 38.2 percent for testing|one part for training and one for testing}.
- When a model {learns its examples by heart|only repeats what it has seen}, {this is called overfitting|it does badly on new text}.
- A tokenizer {cuts text into small pieces called tokens|turns text into numbers}, and a token {may be a word or a part of a word|is often a short piece of a word}.
- A special token {marks the end of the text|tells the model to stop}, {and when the model writes it, the answer is finished|so that the answer does not go on for ever}.
- A seed {fixes the random numbers|makes a run repeatable}, so that {the same run gives the same result|others can check it}.
- The optimizer {changes the weights|decides how the weights move} {after each batch|with the help of the gradient}.
- The gradient {points uphill, so the weights move the other way|says how each weight should change}.
- {With <rows> examples|On a small computer}, the training took <minutes> minutes.
- A low temperature {makes the text of a model more certain|gives safe words}, and a high one {makes it more surprising|gives strange words}.
- The context of a model is {the text that it can see at once|limited to a number of tokens}.
# 5
An adapter is {a small addition to a large model|a small set of new weights|a pair of small matrices beside a large one}.
{Low-rank adaptation, called LoRA for short,|LoRA} {trains a few new numbers and leaves the old ones alone|adds two small matrices to each large matrix}.
To fine-tune a model {is to go on training it with a few new examples|means to teach a trained model a new task}.
- {The weights of the base model|The old weights} {stay frozen|do not change}, {and only the adapter is trained|so the adapter can be taken away again}.
- The rank {of an adapter is the size of its small matrices|says how much an adapter can learn}; {a rank of <rank> is common|here it was <rank>}.
- {Alpha scales the adapter|The number alpha says how strongly the adapter acts}, and it is often {twice the rank|as large as the rank}.
- {A higher rank can learn more|A low rank saves memory}, but {it needs more memory|it may learn less}.
- An adapter file {is small|takes only a few megabytes}, {so it is easy to keep several of them|so it can be shared with others}.
- Adapters {are kept in a folder|can be stored beside the journal of the run}, {one folder for each run|together with the settings}.
- {Two adapters can be mixed|An adapter can be merged into the base model}, {and then the model works without it|but one should test the result}.
- {For a good result, one needs|It takes} {clean examples|a few hundred rows}, {each with an instruction and a good answer|and some rows for testing}.
- {With an adapter, a small computer is enough|It can be done on an ordinary computer}, because {few numbers are trained|the large weights stay as they are}.
- A program such as phi-tui {runs in a terminal|shows the loss while a model learns}, {so no browser is needed|and everything is done with the keyboard}.
- {A run can be stopped and continued|It is possible to stop a run} {from the last checkpoint|without losing the work}.
- {The settings of a project|All settings} are kept in a file such as project.toml, {so that a run can be repeated|which can be replayed later}.
- After the training, {one can chat with the model|a person types a line and the model answers}.
- {The data may come from several sources|Two sources can be mixed}, {each with its own share|and the shares add up to one}.
- {A good start is a small learning rate|One begins with a short run}, {and then one looks at the loss|and changes one thing at a time}.
# 3
A spiral is a curve that {winds around a point|moves away from its centre as it turns}.
{Spirals are found|One can find spirals} in {shells, flowers and storms|snail shells and in the arms of galaxies}.
- The shell of a snail {grows in a spiral|is wound like a rope}, {because the animal adds a little at the edge|and it keeps its shape as it grows}.
- The seeds of a sunflower {sit in spirals|are packed close together}, {so that no space is lost|and the spirals can be counted}.
- {In a golden spiral|In a spiral of quarter circles}, {each quarter turn is wider by the golden ratio|the sizes follow the Fibonacci numbers}.
- {Storms|Large storms} {turn in spirals|look like spirals from above}.
- A staircase {can wind in a spiral|in a tower is often a spiral}, {which saves space|and it makes visitors dizzy}.
- {Climbing plants, such as beans,|Beans and ivy} wind around {a stick|other plants}.
- {The leaves of many plants|New leaves} grow {at an angle of about 137.5 degrees|around the stem in a spiral}, {so that they do not shade each other|and each one gets light}.
- {To draw a spiral|With a string and a pencil}, one {turns around a point and lets the distance grow|winds the string around a stick and moves outward}.
- The horns of {some goats and sheep|a ram} are curved {in a spiral|like a screw}.
# 2
{Day and night|The seasons|The stars and the moon} {have always made people wonder|follow a fixed order|can be watched without any tools}.
The earth {turns around itself once a day|moves around the sun in one year}.
- The moon {goes around the earth in about a month|shines with the light of the sun}, {and its shape seems to change|and it pulls the water of the sea}.
- {The tide|The sea} rises and falls {twice a day|because of the moon}.
- The stars are {suns that are very far away|so far away that their light travels for years}.
- In winter the sun {is low|rises late}, {and the days are short|so it gives less heat}.
- {A week has seven days|A year has twelve months}, {and a day has twenty-four hours|and an hour has sixty minutes}.
- A telescope {makes distant things look near|gathers light}, and {with it one sees the rings of Saturn|the mountains of the moon can be seen}.
- <people> {once used the stars to find their way|named groups of stars after animals}.
- The <a>, for example, <a.does>.
- {Rivers|Streams} {carry water from the hills to the sea|shape the land over thousands of years}.
- {Mountains rise slowly and are worn down by rain|The wind carries sand from place to place}.
# 2
{A good friend|A good neighbour|A good teacher} {listens before speaking|helps without being asked|tells the truth}.
{Learning|Reading|Music} {makes life richer|takes time|is a pleasure for young and old}.
- {Someone who reads much|A reader} {learns about other places|never gets bored|finds new words every day}.
- {It helps to write things down|Notes are useful}, because {memory is short|one forgets so easily}.
- {Children learn by playing|We learn from our mistakes}, {and adults do so as well|although it is not always pleasant}.
- {A question is often the beginning of knowledge|Those who ask learn more}.
- To {listen|explain something} well is {an art|not easy}, {but it can be learned|but everyone can practise it}.
- {Music needs rest as well as sound|A song can change a mood}, {just as speech needs silence|and many songs are older than any book}.
- {<hN>, for instance,|My neighbour <hN>} {began with <k.ing> at the age of <age>|learned <k.to> late in life} and {has never stopped|still enjoys it}.
- It is true that <lesson1>.
- {When two people disagree|In a quarrel}, {it helps to let the other one finish|a little patience is worth a lot}.
- {A walk in the fresh air|A cup of tea|A good night of sleep} {clears the head|solves many problems}.
# 2
A meal {brings people together|is more than food|tastes better with friends}.
{Cooking|Baking} {is a craft that everyone can learn|begins with good ingredients}.
- {<ingredient>, <ingredient> and <ingredient>|<ingredient> and <ingredient>} {go well together|are found in most kitchens|are enough for a simple dish}.
- {Bread needs flour, water, salt and yeast|Dough must rest before it is baked}, {and the oven must be hot|and it grows as it rests}.
- {Soup becomes better when it cooks slowly|A soup needs time}, {and a little salt brings out the taste|but not too much salt}.
- {In many countries|In <town1>}, <people> eat <food1> {in the morning|on feast days|in <season1>}.
- {Vegetables should be washed|Fruit should be ripe}, {and they are best when they are fresh|and it should not be kept too long}.
- A sharp knife is {safer than a dull one|the most useful tool in the kitchen}.
- {The smell of <food>|The smell of fresh bread} {fills the house|makes everyone hungry|reminds people of home}.
- {Sugar|Honey} makes things sweet, lemons {are sour|taste sour}, and {coffee is bitter|some leaves are bitter}.
- {A cook tastes the food before it is served|Good cooks waste nothing}.
- {What is left over|Yesterday's bread} can become {a soup|something new} the next day.
"""

_HOW_TO = """
{To make|If you want to make|When you make} <dish1>, you need {<g1>, <g2> and <g3>|some <g1>, a little <g2> and a pot|<g1>, <g3> and a little time}.
First, {wash your hands and put everything on the table|measure the <g1> and warm a bowl|prepare the <g1>}.
{Then|Next|After that}, {add the <g2> and stir <adverb>|warm some butter in a pan|mix everything with a wooden spoon} {until it is smooth|for <minutes> minutes|until it smells good}.
{Let it rest|Cook it|Let it cook} for <minutes> minutes, {and stir it from time to time|but do not let it burn|with the lid on the pot}.
{Now|Meanwhile}, {prepare the plates|taste it and add some salt|cut some bread}.
{At the end|Finally}, {add a little <g3>|let it cool|put it on the table while it is hot}. {It is enough for <count> people|It tastes even better the next day|Enjoy your meal}.
---
{To plant|When you plant} <ps>, choose {a good place|a place that suits them}: they grow well <p.where>.
{First|Before you begin}, {dig the soil and take out the stones|loosen the earth with a rake|draw a line with a string}.
Make {holes|a row} about {<n1>|<count>} centimetres deep, and {put one plant into each|lay the seeds in with care}.
{Then|After that}, {cover them with earth|press the soil down with your hands} and {give them water|water them well}.
{In the first weeks|During the first days}, {keep the soil damp|protect them from snails|pull out the weeds}.
{Do not forget that|Remember that} <p.fact>. {With a little luck, you will see the result <p.when>|You will be rewarded <p.when>}.
---
{To use|When you use} a <t>, {hold it firmly|make sure that it is clean|choose one of the right size}.
{It is meant to <t.use>|With it you can <t.use>}, {so do not use it for anything else|so choose your place well}.
{Start <adverb>|Begin with small movements|Take your time at first}, and {look at what you are doing|stop when something feels wrong|let an experienced person show you how}.
{If it does not work|If you get stuck}, {check whether it is broken|try again more slowly|ask for help}.
{When you have finished|Afterwards}, {clean the <t>|put the <t> away}, {because it is made of <t.of>|so that you will find it again}.
---
{To write a program|Writing a program is not magic}: {begin with a clear idea|first say in plain words what it should do}.
{Open the editor and create a new file|Make a folder for the project}, and {give it a good name|write the first line}.
{Write a small part|Solve one small problem first}, {then run it in the terminal|and test it at once}.
If there is an error, {read the message slowly|look at the line that it names|do not be afraid of it}.
{Save your work often|Keep a copy of the version that worked}, and {write down what you changed|make only one change at a time}.
{In the end|When it works}, {read the whole text once more|let a friend try it} and {remove what is not needed|explain in a comment why it is done this way}.
---
{To train a small model|Training a small model is simple}: {first you collect examples|you begin with a file of examples}, {<rows> rows are enough to start|about <rows> of them}.
{Look at the rows one by one|Read through the data}, and {remove those that are wrong or doubled|correct the mistakes}.
{Then split the rows|After that, you split the data} into {a part for training and a part for testing|two parts}, {for instance 61.8 and 38.2 percent|the larger one for training}.
{Choose a rank and a learning rate|Set the rank to <rank>}, and {let the learning rate warm up for the first steps|begin with a small learning rate}.
{Start the training and watch the loss|While the training runs, watch the loss}: {it should fall quickly at first and slowly later|from <loss1> it may fall to <loss2>}.
{Save a checkpoint from time to time|Every <steps> steps, a checkpoint should be saved}, {so that you can go on after a break|in case something goes wrong}.
{At the end|When it is finished}, {test the model on the rows it has not seen|compare the answers before and after the training}. {If the answers are bad|If you are not content}, {look at the data again|change one setting and try once more}.
---
{To find a lost thing|When something is lost}, {stay calm and think|do not run around}.
{Where was it last seen?|Think of the place where you had it last.} {Go there first|Begin your search there}, and {look under and behind everything|search slowly}.
{Then|If it is not there}, {ask the people in the house|look in the <room>|empty your bag and your pockets}.
{Even a <obj> can hide under a sheet of paper|A <obj> does not walk away by itself}, so {look twice|look again in the places where you have looked}.
{Once it is found|Afterwards}, {choose a fixed place for it|put your name on it}. {Things that have a place are easy to find|This saves time in the future}.
---
{Going from <town1> to <there>|The way from <town1> to <there>} is {easy to find|not difficult}.
{Leave the town by the old gate|Start at the station}, and {follow the river for <minutes> minutes|walk straight on until you see a <colour1> house}.
{There|At that point}, {turn left|turn right|take the small path} and {go over the bridge|cross the field}.
{You will pass a <adj.look> barn|On your right you will see a <p>|Soon you will come to a crossing}; {keep to the left|do not turn there|go on uphill}.
{After about <n1> hundred steps|When you hear water}, you {have arrived|will see it in front of you}: <seen>.
{Take something to drink with you|Good shoes are useful}, {because there is no shop on the way|since the path is stony}.
---
{To write a letter|When you write a letter}, {begin with the date and a greeting|think first about the person who will read it}.
{In the first lines|At the beginning}, {ask how the other person is|say thank you for the last letter}.
{Then tell|Next, tell} {what has happened|something that only you can tell}: {that <weather1>|that you saw a <a> <inside>|that you are learning <k.to>}.
{Use short sentences|Write as you would speak}, and {do not hurry|leave out what is not important}.
{At the end|Finally}, {send your best wishes|say when you would like to meet} and {sign it with your name|read it once more}.
{Fold the paper|Put it into an envelope}, {write the address on it|put a stamp on it}, and {bring it to the post office|give it to the postman}.
"""


def _topics() -> list[tuple[int, list[str], list[str]]]:
    topics = []
    for block in _TEXT.split("# ")[1:]:
        weight, *rows = [line for line in block.strip().splitlines() if line.strip()]
        first = [row for row in rows if not row.startswith("- ")]
        topics.append((int(weight), first, [row[2:] for row in rows if row.startswith("- ")]))
    return topics


TOPICS: list[tuple[int, list[str], list[str]]] = _topics()
HOW_TO: list[list[str]] = [
    [line for line in block.strip().splitlines() if line.strip()] for block in _HOW_TO.split("---")
]
